/** In a target from the first moment to the last: what is there is ours, unfinished, and may be cleared by the next attempt. */
export const INCOMPLETE_MARKER = "holdfast-restore.incomplete";
/** What a backup of a tree says of itself as a whole: where it was, what was left out, what went wrong. */
export const ABOUT_TREE = "//tree.json";
/** The same of dumps. */
export const ABOUT_DUMPS = "//dumps.json";
