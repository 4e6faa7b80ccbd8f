import { networkInterfaces } from 'node:os'
import { NETWORK_POLL_MS } from './limits.ts'

/** What `os.networkInterfaces` gives. */
export type Interfaces = NodeJS.Dict<{ address: string; netmask: string; mac: string }[]>

/** Calls back when the addresses of this machine have changed: cable, Wi-Fi, VPN. Keeps no process running. */
export class NetworkWatch {
  readonly #read: () => Interfaces
  readonly #timer: NodeJS.Timeout
  #before: string

  constructor(onChange: () => void, read: () => Interfaces = networkInterfaces, pollMs: number = NETWORK_POLL_MS) {
    this.#read = read
    this.#before = this.#summary()
    this.#timer = setInterval(() => {
      const now = this.#summary()
      if (now === this.#before) return
      this.#before = now
      onChange()
    }, pollMs).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #summary(): string {
    try {
      const addresses = Object.entries(this.#read()).flatMap(([name, all = []]) =>
        all.map(({ address, netmask, mac }) => `${name} ${address} ${netmask} ${mac}`),
      )
      return addresses.sort().join('\n')
    } catch {
      // The operating system may refuse to tell: then nothing changes.
      return ''
    }
  }
}
