/**
 * The proof that a lock is held, handed from the room that takes locks to the rooms that need one to be taken.
 *
 * It exists from the moment the lock was acquired until it is disposed; holding the value says nothing after that.
 */
export interface HeldLock extends AsyncDisposable {
  /** Absolute path of the lock file. */
  readonly path: string
}
