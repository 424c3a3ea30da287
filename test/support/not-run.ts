/** How a test or suite says that it was not run on this machine, and why: the rest of its title. scripts/test.ts prints it. */
export const NOT_RUN = "not run: ";
