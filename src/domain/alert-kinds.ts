/** How bad it is: the table of docs/alerts.md. P1 wakes somebody up. */
export const SEVERITIES = ["P1", "P2", "P3", "P4"] as const;
export type Severity = (typeof SEVERITIES)[number];

interface AlertKindRule {
  readonly severity: Severity;
  /** What is wrong, in a sentence that follows "the source" or stands by itself. */
  readonly means: string;
  /** The first thing to do about it. */
  readonly whatToDo: string;
  /** It must hold this long before anybody is told, and be gone this long before it counts as over: what comes and goes is one alert. */
  readonly raiseAfterSeconds: number;
  readonly clearAfterSeconds: number;
}

const AT_ONCE = { raiseAfterSeconds: 0, clearAfterSeconds: 0 } as const;
/** What is known from one look and stays: told at once, and over when it was gone for a minute. */
const LASTING = { raiseAfterSeconds: 0, clearAfterSeconds: 60 } as const;
/** What may be a hiccup: a server that restarts, a copy that is slow for a moment. */
const PERSISTENT = { raiseAfterSeconds: 120, clearAfterSeconds: 60 } as const;

/** Everything that Holdfast alerts about: the one table of it. docs/alerts.md says the same, and a test compares. */
export const ALERT_KINDS = {
  wal_gap: {
    severity: "P1",
    means: "WAL is missing between two segments of a copy: the times in between cannot be recovered",
    whatToDo: "take a full backup now ('holdfast backup SOURCE --type full'); 'holdfast info SOURCE' names the segments: look whether another copy or the server still has them",
    ...LASTING,
  },
  wal_lost: {
    severity: "P1",
    means: "the server no longer has WAL that was not stored yet: the replication slot was lost, or dropped",
    whatToDo:
      "take a full backup now ('holdfast backup SOURCE --type full'); then look at max_slot_wal_keep_size and at why the stream stood still ('holdfast check SOURCE', 'holdfast wal status SOURCE')",
    ...LASTING,
  },
  commits_wait: {
    severity: "P1",
    means: "the server's commits wait for our WAL stream alone (synchronous_standby_names), and it is away, or cannot store: the application hangs",
    whatToDo:
      "does 'holdfast serve' run, and is the first repository of the log there ('holdfast check SOURCE', 'holdfast wal status SOURCE')? Until then 'alter system set synchronous_standby_names to ''' and a reload let commits go on, without this protection",
    raiseAfterSeconds: 10,
    clearAfterSeconds: 30,
  },
  backup_damaged: {
    severity: "P1",
    means: "a copy of a backup is damaged",
    whatToDo: "take a full backup now; 'holdfast verify SOURCE' names every object that is hurt; do not restore from this copy",
    ...LASTING,
  },
  repository_damaged: {
    severity: "P1",
    means: "verification found objects that are damaged or missing",
    whatToDo: "'holdfast verify SOURCE' names the objects, and the backups and times that are lost with them; look at the disk or bucket beneath; take a full backup",
    ...LASTING,
  },
  source_corrupt: {
    severity: "P1",
    means: "the newest backup of a kind holds pages that are corrupt in the source itself",
    whatToDo: "the database is damaged, not the backup: find the pages with pg_amcheck, and restore an older backup beside it before that one expires",
    ...LASTING,
  },
  scheduler_stopped: {
    severity: "P1",
    means: "the scheduler does not run on time: nothing is backed up",
    whatToDo: "look at the log of 'holdfast serve' and at the load of its machine, and restart it",
    raiseAfterSeconds: 30,
    clearAfterSeconds: 60,
  },
  evidence_diverged: {
    severity: "P1",
    means: "the second place of evidence holds another log of this host than this host: one of the two was cut off, or written anew",
    whatToDo:
      "leave both as they are, and find out who did it: 'holdfast evidence status' says what differs, 'holdfast evidence verify BUNDLE --second' compares a bundle with what lies there",
    ...AT_ONCE,
  },
  rpo_breached: {
    severity: "P2",
    means: "a copy lags behind by more than the recovery point objective",
    whatToDo: "'holdfast wal status SOURCE' shows how far the log reaches: is the stream running, and the repository fast enough?",
    raiseAfterSeconds: 15,
    clearAfterSeconds: 60,
  },
  rto_breached: {
    severity: "P2",
    means: "the last drill took longer than the recovery time objective",
    whatToDo: "its phases show where the time went ('holdfast report'); more frequent full backups, a faster copy, or another objective",
    ...AT_ONCE,
  },
  no_backup: {
    severity: "P2",
    means: "there is no backup",
    whatToDo: "'holdfast check SOURCE' shows what stands in the way; then 'holdfast backup SOURCE --type full'",
    raiseAfterSeconds: 600,
    clearAfterSeconds: 0,
  },
  run_failed: {
    severity: "P2",
    means: "the newest run of a kind failed, or was interrupted",
    whatToDo: "the reason is beside it; 'holdfast check SOURCE', then run it again",
    ...AT_ONCE,
  },
  copy_failed: {
    severity: "P2",
    means: "the newest backup of a kind is not in all its repositories",
    whatToDo: "'holdfast check --repository NAME' tries the repository that lacks it; the next backup goes there again",
    ...AT_ONCE,
  },
  drill_failed: {
    severity: "P2",
    means: "the last drill failed: what was restored was not what was promised",
    whatToDo: "look at its checks ('holdfast info SOURCE', 'holdfast report'), repair the cause, and prove it: 'holdfast drill SOURCE'",
    ...AT_ONCE,
  },
  source_unreachable: {
    severity: "P2",
    means: "the server of a source does not answer: how exposed it is, is not known",
    whatToDo: "'holdfast check SOURCE' says why: server, address, password, pg_hba.conf, network",
    ...PERSISTENT,
  },
  copy_unobserved: {
    severity: "P2",
    means: "it is not known how far a copy reaches",
    whatToDo: "'holdfast info SOURCE' and 'holdfast check --repository NAME' say why: is the repository there, is there a backup to start from?",
    ...PERSISTENT,
  },
  repository_unreachable: {
    severity: "P2",
    means: "a repository cannot be read for any source",
    whatToDo: "'holdfast check --repository NAME' says why: is it mounted; address, credentials and network of the bucket",
    ...PERSISTENT,
  },
  observation_stale: {
    severity: "P2",
    means: "a source was not looked at for a while",
    whatToDo: "look at the log of 'holdfast serve': what it says about this source, and whether its machine is overloaded",
    ...PERSISTENT,
  },
  repository_nearly_full: {
    severity: "P2",
    means: "a repository will be full within a day, if it goes on as it did, or is now",
    whatToDo: "make room beneath it, or expire what is no longer wanted ('holdfast expire' with --dry-run shows what would go); when it is full, WAL is no longer stored",
    ...LASTING,
  },
  locks_not_renewed: {
    severity: "P2",
    means:
      "locks of objects (objectLock) were not made longer for half of their margin: expiry did not run in this copy, and after the whole margin they end before retention does",
    whatToDo: "'holdfast expire SOURCE' does it, and says what is in the way; is the repository there, and may its credentials set locks ('holdfast check --repository NAME')?",
    ...AT_ONCE,
  },
  channel_failed: {
    severity: "P2",
    means: "alerts cannot be delivered through a channel",
    whatToDo: "the reason is beside it: address, key and network of the channel; what waits is sent when it works again",
    raiseAfterSeconds: 30,
    clearAfterSeconds: 0,
  },
  many_refused: {
    severity: "P2",
    means: "ten and more calls of the API were refused within 20 minutes: somebody tries",
    whatToDo: "the evidence log names addresses and tokens; revoke what leaked ('holdfast token revoke'), and close the way there",
    raiseAfterSeconds: 0,
    clearAfterSeconds: 300,
  },
  expired: {
    severity: "P2",
    means: "a token, or a certificate of the API, has expired",
    whatToDo: "renew it ('holdfast token add'; a certificate of the API is read when 'holdfast serve' starts)",
    ...AT_ONCE,
  },
  rpo_near: {
    severity: "P3",
    means: "a copy lags behind by more than 80 % of the recovery point objective",
    whatToDo: "'holdfast wal status SOURCE': is the stream running, and the repository fast enough?",
    raiseAfterSeconds: 60,
    clearAfterSeconds: 120,
  },
  rto_near: {
    severity: "P3",
    means: "the last drill took more than 80 % of the recovery time objective",
    whatToDo: "its phases show where the time went; more frequent full backups, or a faster copy",
    ...AT_ONCE,
  },
  drill_inconclusive: {
    severity: "P3",
    means: "the last drill came to no result, also when it was tried again: the fault of the machine, not of the backup",
    whatToDo: "its reason says what was missing (space, programs, time); run it again: 'holdfast drill SOURCE'",
    ...AT_ONCE,
  },
  never_proven: {
    severity: "P3",
    means: "recovery was never proven by a drill that passed, though the policy asks for drills",
    whatToDo: "'holdfast drill SOURCE'",
    raiseAfterSeconds: 86_400,
    clearAfterSeconds: 0,
  },
  runs_missed: {
    severity: "P3",
    means: "scheduled runs were missed, and none of their kind has succeeded since",
    whatToDo: "'holdfast serve' was down or busy at their time; 'holdfast policy simulate' shows whether the schedule asks for more than there is time for",
    raiseAfterSeconds: 300,
    clearAfterSeconds: 0,
  },
  hook_failed: {
    severity: "P3",
    means: "a hook of the policy failed after the newest backup of a kind; the backup itself is whole",
    whatToDo: "its output is on the record of the run; repair the program",
    ...AT_ONCE,
  },
  repository_filling: {
    severity: "P3",
    means: "a repository will be full within two weeks, if it goes on as it did",
    whatToDo: "plan for more room, or for a shorter retention: 'holdfast policy simulate' says how much a policy keeps",
    ...LASTING,
  },
  evidence_behind: {
    severity: "P3",
    means: "evidence does not get to its second place",
    whatToDo: "the reason is beside it: address, credentials and network of evidence.second; what waits is sent when it works again",
    raiseAfterSeconds: 600,
    clearAfterSeconds: 0,
  },
  evidence_unstamped: {
    severity: "P3",
    means: "the time-stamp authority gives no stamp for evidence",
    whatToDo: "the reason is beside it: address and network of evidence.timestamps, and the certificates that vouch for it; what waits is stamped when it answers again",
    raiseAfterSeconds: 3600,
    clearAfterSeconds: 0,
  },
  configuration_not_taken_up: {
    severity: "P3",
    means: "inventory or policies were changed, and 'holdfast serve' goes on with what was in force before: they are invalid, or need a restart",
    whatToDo: "'holdfast policy validate' names what is wrong; where it says that nothing is, restart 'holdfast serve'",
    ...AT_ONCE,
  },
  policy_infeasible: {
    severity: "P3",
    means: "a policy cannot hold an objective as it is written",
    whatToDo: "'holdfast policy validate' names the line and what would fix it",
    ...LASTING,
  },
  refused: {
    severity: "P3",
    means: "a call of the API was refused: no token, one that is not valid, or one that may not do this",
    whatToDo: "the evidence log says who and what; where it was nobody of yours, revoke the token",
    ...AT_ONCE,
  },
  expires_within_7_days: {
    severity: "P3",
    means: "a token, or a certificate of the API, expires within 7 days",
    whatToDo: "renew it ('holdfast token add'; a certificate of the API is read when 'holdfast serve' starts)",
    ...AT_ONCE,
  },
  backup_size_unusual: {
    severity: "P4",
    means: "the newest backup of a kind is less than half or more than twice as large as the median of the seven before it",
    whatToDo: "'holdfast info SOURCE' shows both sizes: was data loaded, deleted or rewritten, and was that meant? If not, keep the backup before it ('holdfast pin')",
    ...LASTING,
  },
  policy_warning: {
    severity: "P4",
    means: "a policy reads better than it is",
    whatToDo: "'holdfast policy validate' names the line and what would fix it",
    ...LASTING,
  },
  access_changed: {
    severity: "P4",
    means: "who may do what was changed",
    whatToDo: "nothing, if it was you",
    ...AT_ONCE,
  },
  expires_within_30_days: {
    severity: "P4",
    means: "a token, or a certificate of the API, expires within 30 days",
    whatToDo: "renew it ('holdfast token add'; a certificate of the API is read when 'holdfast serve' starts)",
    ...AT_ONCE,
  },
} as const satisfies Readonly<Record<string, AlertKindRule>>;

export type AlertKind = keyof typeof ALERT_KINDS;

export function isAlertKind(text: string): text is AlertKind {
  return Object.hasOwn(ALERT_KINDS, text);
}
