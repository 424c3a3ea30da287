import { Catalog } from "../../src/catalog/catalog.ts";
import { must } from "../../src/errors.ts";
import { listenAsSite } from "./dashboard-site.ts";

/** A server of the dashboard that can be killed: `live-server.ts CATALOG PORT`. Says where it listens, and goes on until it is ended. */
const [file, port] = process.argv.slice(2);
const catalog = Catalog.open(must(file, "a catalog"));
process.send?.(await listenAsSite(catalog, Number(port)));
