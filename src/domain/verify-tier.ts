/** How deeply something was verified, least first. WAL continuity is checked beside all of them. */
export const VERIFY_TIERS = ["present", "stored", "decoded", "pages"] as const;
export type VerifyTier = (typeof VERIFY_TIERS)[number];

/** True if verifying to `tier` includes what `step` checks. */
export function reaches(tier: VerifyTier, step: VerifyTier): boolean {
  return VERIFY_TIERS.indexOf(tier) >= VERIFY_TIERS.indexOf(step);
}
