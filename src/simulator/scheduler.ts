import { Heap } from '../base/heap.ts'

interface Task {
  at: number
  order: number
  run: () => void
  cancelled: boolean
}

/** Something that is to happen at a virtual time; can be called off. */
export interface Timer {
  cancel(): void
}

/** What a part of the world knows of time. */
export interface Time {
  /** Whole milliseconds since the run began. */
  readonly now: number
  /** @param at milliseconds since the run began. */
  at(at: number, run: () => void): Timer
  in(ms: number, run: () => void): Timer
}

/** Virtual time: what is to happen, by time, and in the order in which it was asked for. */
export class Scheduler implements Time {
  /** Whole milliseconds since the run began. */
  now = 0
  #order = 0
  readonly #tasks = new Heap<Task>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order))

  /** @param at milliseconds; rounded up, and not before now. */
  at(at: number, run: () => void): Timer {
    const task: Task = { at: Math.max(this.now, Math.ceil(at)), order: this.#order++, run, cancelled: false }
    this.#tasks.push(task)
    return { cancel: () => void (task.cancelled = true) }
  }

  in(ms: number, run: () => void): Timer {
    return this.at(this.now + ms, run)
  }

  /** When the next task is due; infinity if there is none. */
  get next(): number {
    for (let first = this.#tasks.first(); first !== undefined; first = this.#tasks.first()) {
      if (!first.cancelled) return first.at
      this.#tasks.pop()
    }
    return Infinity
  }

  /** Lets time pass until the next task, and does it. False if there is none. */
  step(): boolean {
    if (this.next === Infinity) return false
    const task = this.#tasks.pop() as Task
    this.now = task.at
    task.run()
    return true
  }
}
