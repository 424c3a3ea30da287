import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import { submitCommand } from "../catalog/commands.ts";
import type { Command, CommandArgs, CommandRequest } from "../catalog/commands.ts";
import { copiesOf } from "../domain/compliance.ts";
import { backupBody, commandSchema, drillBody, verifyBody } from "./command-schemas.ts";
import { ApiProblem } from "./problem.ts";
import { sourceOf } from "./route-context.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { idempotencyHeaders, nameParams, noQuery } from "./schema-parts.ts";
import { visibleTo } from "./visible.ts";

const RETRY_AFTER_SECONDS = "60";

/** Work that somebody asks for. It goes into the queue, and the scheduler takes it up; who asked is on record before. The same key from the same person is the same command. */
export function addCommandRoutes(api: Api, context: RouteContext): void {
  const config = { access: "operate" } as const;
  const common = { params: nameParams, querystring: noQuery, headers: idempotencyHeaders, response: { 202: commandSchema } };

  api.post(
    "/api/v1/sources/:name/backups",
    { config, schema: { summary: "A backup, as soon as nothing else is at work on the source", ...common, body: backupBody } },
    (request, reply) => submit(context, request, reply, { kind: "backup", name: request.params.name, args: request.body }),
  );

  api.post("/api/v1/sources/:name/drills", { config, schema: { summary: "A drill", ...common, body: drillBody } }, (request, reply) =>
    submit(context, request, reply, { kind: "drill", name: request.params.name, args: request.body }),
  );

  api.post("/api/v1/sources/:name/verifications", { config, schema: { summary: "A verification", ...common, body: verifyBody } }, (request, reply) =>
    submit(context, request, reply, { kind: "verify", name: request.params.name, args: request.body }),
  );
}

interface Wish {
  readonly kind: CommandRequest["kind"];
  readonly name: string;
  readonly args: Readonly<Record<string, string | undefined>>;
}

async function submit(context: RouteContext, request: FastifyRequest, reply: FastifyReply, { kind, name, args: wished }: Wish): Promise<CommandView> {
  const visible = visibleTo(context, request);
  const source = sourceOf(visible, name);
  const args: CommandArgs = Object.fromEntries(Object.entries(wished).filter((pair): pair is [string, string] => pair[1] !== undefined));
  const { repository } = wished;
  if (repository !== undefined && !copiesOf(source).includes(repository))
    throw new ApiProblem(400, "the source has no copy in that repository", { hint: `choose one of: ${copiesOf(source).join(", ")}` });
  const { identity } = visible;
  await context.accessLog.used(identity, `${kind}.request`, { source: name, ...args });
  const submission = submitCommand(context.catalog, {
    id: context.newRunId(),
    kind,
    source: name,
    args,
    idempotencyKey: String(request.headers["idempotency-key"]),
    requestedBy: identity.name,
    requestedAt: context.clock.now(),
  });
  if (submission === null) {
    void reply.header("retry-after", RETRY_AFTER_SECONDS);
    throw new ApiProblem(503, "the queue is full", { hint: "the scheduler does not come to it: see /readyz and /api/v1/runs?outcome=running" });
  }
  if (submission.kind === "conflict")
    throw new ApiProblem(422, "this Idempotency-Key was used for something else", { hint: `it stands for ${submission.command.id}; take a new one` });
  void reply.code(202).header("location", `/api/v1/runs/${submission.command.id}`);
  return view(submission.command);
}

type CommandView = z.input<typeof commandSchema>;

function view({ id, source, kind, state }: Command): CommandView {
  return { id, source, operation: kind, state };
}
