import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { StatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { Service } from "kubernetes-models/v1/Service";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";
import { loadInventory } from "../../src/policy/load.ts";
import { formatProblems } from "../../src/policy/problem.ts";
import { readProjectFile } from "../support/markdown.ts";
import { configurationFolder } from "../unit/policy/configuration-folder.ts";

/** What ships for Kubernetes, held against the schemas of Kubernetes and of the Prometheus operator, and against what Holdfast itself reads and answers. */
const SCHEMAS = { ConfigMap, Service, StatefulSet, ServiceMonitor, PrometheusRule };
const FILES = ["deploy/kubernetes/holdfast.yaml", "deploy/kubernetes/monitoring.yaml"] as const;

const objectSchema = z.looseObject({ kind: z.enum(["ConfigMap", "Service", "StatefulSet", "ServiceMonitor", "PrometheusRule"]), metadata: z.looseObject({ name: z.string() }) });
type Manifest = z.infer<typeof objectSchema>;
const objects = FILES.flatMap((file) => parseAllDocuments(readProjectFile(file)).map((document): Manifest => objectSchema.parse(document.toJS())));
const ofKind = (kind: Manifest["kind"]): Manifest => {
  const found = objects.find((object) => object.kind === kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  return found;
};

const containerSchema = z.looseObject({
  image: z.string(),
  args: z.array(z.string()),
  securityContext: z.unknown(),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
  resources: z.unknown(),
});
const podSchema = z.looseObject({
  initContainers: z.array(containerSchema),
  containers: z.array(containerSchema),
  securityContext: z.looseObject({}),
  volumes: z.array(z.looseObject({ name: z.string() })),
});
const setSchema = z.looseObject({
  replicas: z.number(),
  template: z.looseObject({ spec: podSchema }),
  volumeClaimTemplates: z.array(z.looseObject({ metadata: z.object({ name: z.string() }) })),
});
const set = setSchema.parse(ofKind("StatefulSet")["spec"]);
const pod = set.template.spec;

test.each(objects.map((object) => [object.kind, object] as const))("the %s is what its schema allows", (kind, object) => {
  expect(() => new SCHEMAS[kind](object as never).validate()).not.toThrow();
});

test("the schemas object to what they should: a number in words, a rule without an expression", () => {
  const broken = { ...ofKind("StatefulSet"), spec: { ...set, replicas: "one" } };
  expect(() => new StatefulSet(broken as never).validate()).toThrow(/replicas/);
  expect(() => new PrometheusRule({ ...ofKind("PrometheusRule"), spec: { groups: [{ name: "g", rules: [{ alert: "A" }] }] } } as never).validate()).toThrow(/expr/);
});

test("the rules are those for Prometheus, to the letter", () => {
  expect(ofKind("PrometheusRule")["spec"]).toEqual(parse(readProjectFile("deploy/prometheus/holdfast-rules.yaml")));
});

test("the inventory and the policy in it are ones that Holdfast loads", async () => {
  const data = z.record(z.string(), z.string()).parse(ofKind("ConfigMap")["data"]);
  await using folder = await configurationFolder({ "holdfast.yaml": data["holdfast.yaml"] ?? "", "policies/kubernetes.yaml": data["kubernetes.yaml"] ?? "" });
  const loaded = await loadInventory(folder.inventory);
  expect(loaded.ok ? "" : formatProblems(loaded.problems)).toBe("");
});

test("there is one pod, as an account of its own, with a root that it cannot write and nothing that it may", () => {
  expect(set.replicas).toBe(1);
  expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 10001 });
  for (const { securityContext } of [...pod.initContainers, ...pod.containers])
    expect(securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } });
});

test("what sets it up and what serves are the same container, and whatever is mounted is there", () => {
  const [first, second] = [pod.initContainers[0], pod.containers[0]];
  expect([first?.image, first?.volumeMounts, first?.resources]).toEqual([second?.image, second?.volumeMounts, second?.resources]);
  const there = new Set([...pod.volumes.map(({ name }) => name), ...set.volumeClaimTemplates.map(({ metadata }) => metadata.name)]);
  expect(second?.volumeMounts.filter(({ name }) => !there.has(name))).toEqual([]);
});
