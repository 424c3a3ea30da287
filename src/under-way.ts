/**
 * Work that nobody may leave behind: what reads or writes in places that are closed, or cleared away, next. Where several things are done side by side and one fails, the others go on;
 * disposing waits until each has ended, well or not.
 */
export class UnderWay implements AsyncDisposable {
  readonly #work = new Set<Promise<unknown>>();

  /** Takes note of what was begun, and hands it back. */
  note<T>(begun: Promise<T>): Promise<T> {
    const ended: Promise<boolean> = begun.then(
      () => this.#work.delete(ended),
      () => this.#work.delete(ended),
    );
    this.#work.add(ended);
    return begun;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#work);
  }
}
