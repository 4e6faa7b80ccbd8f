import type { Branch } from './branches.ts'

/** Which branches of which files were taken. Instrumented files find it as `globalThis.peerlogBranches`. */
export class TakenBranches {
  readonly #files = new Map<string, { branches: Branch[]; taken: number[] }>()

  /** Called by a file when it is loaded. */
  of([url, branches]: [string, Branch[]]): Record<
    'when' | 'unless' | 'here',
    (branch: number, value: unknown) => unknown
  > {
    const taken = branches.map(() => 0)
    this.#files.set(url, { branches, taken })
    const count = (branch: number): void => void (taken[branch] = (taken[branch] as number) + 1)
    return {
      when(branch, value) {
        if (value) count(branch)
        return value
      },
      unless(branch, value) {
        if (!value) count(branch)
        return value
      },
      here(branch, value) {
        count(branch)
        return value
      },
    }
  }

  has(url: string): boolean {
    return this.#files.has(url)
  }

  total(urls: readonly string[]): { taken: number; all: number } {
    const counts = urls.flatMap((url) => this.#files.get(url)?.taken ?? [])
    return { taken: counts.filter((count) => count > 0).length, all: counts.length }
  }

  /** Branches that were never taken. */
  missed(): { url: string; branch: Branch }[] {
    return [...this.#files].flatMap(([url, { branches, taken }]) =>
      branches.filter((_, i) => taken[i] === 0).map((branch) => ({ url, branch })),
    )
  }
}
