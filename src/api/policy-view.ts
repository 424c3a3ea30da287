import type { Schedule } from "../domain/schedule.ts";
import type { Inventory, Policy } from "../policy/types.ts";
import type { PolicyView, ScheduleView } from "./policy-schema.ts";

/** The rules in force, by policy. Of checks only what they are called: their text may say what nobody outside should read. */
export function policyViews({ sources }: Inventory): PolicyView[] {
  const byPolicy = Map.groupBy(sources.values(), ({ policy }) => policy.name);
  return [...byPolicy.values()].flatMap((users) => {
    const [first] = users;
    return first === undefined
      ? []
      : [
          policyView(
            first.policy,
            users.map(({ name }) => name),
          ),
        ];
  });
}

function policyView(policy: Policy, usedBy: string[]): PolicyView {
  const { name, objectives, backups, log, verify, expire, drills, windows } = policy;
  return {
    name,
    usedBy,
    objectives,
    backups: [...backups.values()].map((rule) => ({ ...rule, schedule: scheduleView(rule.schedule) })),
    log: log === null ? null : { ...log, schedule: scheduleView(log.schedule) },
    verify: verify === null ? null : { schedule: scheduleView(verify.schedule), tier: verify.tier },
    expire: { schedule: scheduleView(expire.schedule) },
    drills:
      drills === null
        ? null
        : {
            schedule: scheduleView(drills.schedule),
            select: drills.select,
            checks: drills.checks.map((check) => ({ kind: check.kind, name: check.name, required: check.required })),
          },
    windows,
  };
}

function scheduleView(schedule: Schedule | { readonly kind: "stream" }): ScheduleView {
  return schedule.kind === "every" ? { kind: "every", everySeconds: schedule.seconds } : schedule;
}
