/**
 * Which requirement is answered by which artefact, and the rule that judges it. The wording is a paraphrase, and whether the evidence is enough is for the auditor to say:
 * a report supports evidence for a control, it never says that anybody complies with it.
 */
export const RULES = {
  backups_operated: "Backups succeed as scheduled; what failed or was missed was followed by a success.",
  copies_verified: "Every copy that is there was verified, and no damage stands.",
  recovery_tested: "Backups were restored for real, started, replayed to the expected point and checked.",
  failures_retested: "Every failed restore test was followed by one that passed.",
  recovery_points_sampled: "The recovery points tested were chosen by a seed that was on record before the test.",
  recovery_point_held: "Exposure of every copy was observed, and stayed within the recovery point objective.",
  recovery_time_held: "Every measured recovery stayed within the recovery time objective.",
  encryption_exercised: "What is stored was read back, decrypted and authenticated; the repository format has no unencrypted form.",
  history_kept: "Records of activity go back at least twelve months before the end of the period.",
} as const;
export type RuleName = keyof typeof RULES;

export interface ControlDefinition {
  readonly framework: string;
  readonly control: string;
  /** What is asked, paraphrased. */
  readonly asks: string;
  /** Parts of this report that are the evidence. */
  readonly artefacts: readonly Artefact[];
  readonly rules: readonly RuleName[];
  /** What the control asks beyond this and the report does not show. */
  readonly notShown: string;
}

type Artefact = "run population" | "exposure" | "verification" | "drill register" | "findings" | "evidence log";

const SOC2 = "SOC 2 (TSC 2017)";
const ISO = "ISO/IEC 27001:2022";
const NIST = "NIST SP 800-53 r5";
const HIPAA = "HIPAA Security Rule";
const DORA = "DORA (EU) 2022/2554";

const OBJECTIVES = ["recovery_tested", "recovery_point_held", "recovery_time_held"] as const;

export const CONTROLS: readonly ControlDefinition[] = [
  {
    framework: SOC2,
    control: "A1.2",
    asks: "Backup processes are designed, operated and monitored.",
    artefacts: ["run population", "exposure", "findings"],
    rules: ["backups_operated", "recovery_point_held"],
    notShown: "who was told of a failure, and when",
  },
  {
    framework: SOC2,
    control: "A1.3",
    asks: "Recovery procedures are tested, and so are integrity and completeness of backup data.",
    artefacts: ["drill register", "verification", "findings"],
    rules: ["recovery_tested", "copies_verified"],
    notShown: "review and sign-off of the tests",
  },
  {
    framework: SOC2,
    control: "CC7.5",
    asks: "Recovery from incidents is carried out, and what was learned is applied.",
    artefacts: ["drill register", "findings"],
    rules: ["recovery_tested", "failures_retested"],
    notShown: "root causes and the changes made",
  },
  {
    framework: ISO,
    control: "A.8.13",
    asks: "Backup copies are maintained and regularly tested by the agreed policy.",
    artefacts: ["run population", "verification", "drill register"],
    rules: ["backups_operated", "copies_verified", "recovery_tested"],
    notShown: "approval of the policy",
  },
  {
    framework: ISO,
    control: "A.5.30",
    asks: "ICT readiness is tested against the objectives of business continuity.",
    artefacts: ["drill register", "exposure"],
    rules: OBJECTIVES,
    notShown: "the business impact analysis the objectives come from",
  },
  {
    framework: ISO,
    control: "A.8.24",
    asks: "Cryptography is used by defined rules.",
    artefacts: ["verification"],
    rules: ["encryption_exercised"],
    notShown: "who holds the keys, and their rotation",
  },
  {
    framework: NIST,
    control: "CP-4",
    asks: "The contingency plan is tested at the defined frequency; results are reviewed and corrected.",
    artefacts: ["drill register", "findings"],
    rules: ["recovery_tested", "failures_retested"],
    notShown: "review of the results by a person",
  },
  {
    framework: NIST,
    control: "CP-9",
    asks: "Backups are made at a frequency consistent with the recovery objectives.",
    artefacts: ["run population", "exposure"],
    rules: ["backups_operated", "recovery_point_held"],
    notShown: "backups of what is not a source of this installation",
  },
  {
    framework: NIST,
    control: "CP-9(1)",
    asks: "Backup information is tested for reliability and integrity.",
    artefacts: ["verification", "drill register"],
    rules: ["copies_verified", "recovery_tested"],
    notShown: "the media below the repository",
  },
  {
    framework: NIST,
    control: "CP-9(2)",
    asks: "A sample of backup information is used in restoring, as part of plan testing.",
    artefacts: ["drill register", "evidence log"],
    rules: ["recovery_points_sampled"],
    notShown: "the size of the population each point was chosen from",
  },
  {
    framework: NIST,
    control: "CP-10",
    asks: "The system is recovered to a known state within the recovery objectives.",
    artefacts: ["drill register", "exposure"],
    rules: OBJECTIVES,
    notShown: "what belongs to the system beside its databases",
  },
  {
    framework: "PCI DSS 4.0",
    control: "10.5.1",
    asks: "Audit log history is kept for at least twelve months.",
    artefacts: ["evidence log", "run population"],
    rules: ["history_kept"],
    notShown: "audit logs of other systems: this is the log of backup and recovery activity only",
  },
  {
    framework: HIPAA,
    control: "164.308(a)(7)(ii)(A)",
    asks: "Data backup plan: retrievable exact copies are created and maintained.",
    artefacts: ["run population", "verification", "drill register"],
    rules: ["backups_operated", "copies_verified", "recovery_tested"],
    notShown: "the written plan",
  },
  {
    framework: HIPAA,
    control: "164.308(a)(7)(ii)(B)",
    asks: "Disaster recovery plan: procedures to restore any loss of data.",
    artefacts: ["drill register"],
    rules: ["recovery_tested"],
    notShown: "the written plan",
  },
  {
    framework: HIPAA,
    control: "164.308(a)(7)(ii)(D)",
    asks: "Contingency plans are tested periodically and revised.",
    artefacts: ["drill register", "findings"],
    rules: ["recovery_tested", "failures_retested"],
    notShown: "revisions of the plan",
  },
  {
    framework: DORA,
    control: "Art. 11(6)",
    asks: "Response and recovery plans are tested at least yearly.",
    artefacts: ["drill register"],
    rules: ["recovery_tested"],
    notShown: "scenarios beyond restoring a database",
  },
  {
    framework: DORA,
    control: "Art. 12(1)-(2)",
    asks: "A backup policy sets scope and minimum frequency by criticality, and its procedures are tested periodically.",
    artefacts: ["run population", "verification", "drill register"],
    rules: ["backups_operated", "copies_verified", "recovery_tested"],
    notShown: "how the criticality was decided",
  },
  {
    framework: DORA,
    control: "Art. 12(6)",
    asks: "Recovery time and recovery point objectives are set for each function and met.",
    artefacts: ["drill register", "exposure"],
    rules: OBJECTIVES,
    notShown: "functions that are not a source of this installation",
  },
  {
    framework: "NIS2 (EU) 2022/2555",
    control: "Art. 21(2)(c)",
    asks: "Business continuity, such as backup management and disaster recovery.",
    artefacts: ["run population", "verification", "drill register", "exposure"],
    rules: ["backups_operated", "copies_verified", "recovery_tested", "recovery_point_held"],
    notShown: "crisis management",
  },
];
