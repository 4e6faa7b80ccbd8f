import type { IncomingMessage } from 'node:http'
import { PerAddress, RatePerAddress, type TrustedProxies, type Visitor } from './addresses.ts'
import { SUBPROTOCOL } from './frames.ts'
import type { RefusalReason } from './tally.ts'
import type { Grant, TokenGate } from './tokens.ts'

/** How an upgrade is turned away. */
export interface Refusal {
  reason: RefusalReason
  status: 400 | 401 | 403 | 429 | 503
  /** For whoever reads the answer. */
  text: string
}

export interface AdmissionOptions {
  maxClients: number
  maxClientsPerAddress: number | undefined
  maxConnectionsPerMinutePerAddress: number | undefined
  /** Allowed values of the Origin header; undefined: any. */
  origins: readonly string[] | undefined
  requireOrigin: boolean
  proxies: TrustedProxies
  tokens: TokenGate | undefined
}

const TOKEN_TEXTS = {
  'token-missing': 'this relay wants a token',
  'token-invalid': 'the token is not valid here',
  'token-expired': 'the token has expired',
} as const

/** Decides who becomes a client. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #perAddress = new PerAddress()
  readonly #rate: RatePerAddress | undefined
  #clients = 0
  draining = false

  constructor(options: AdmissionOptions) {
    this.#options = options
    const perMinute = options.maxConnectionsPerMinutePerAddress
    this.#rate = perMinute === undefined ? undefined : new RatePerAddress(perMinute)
  }

  /** What can be said at once about an attempt, which is counted. */
  judge(request: IncomingMessage, visitor: Visitor): Refusal | undefined {
    if (this.#rate?.tryTake(visitor.key) === false) {
      return { reason: 'address-rate', status: 429, text: 'too many connections from this address: wait a minute' }
    }
    const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
    if (!offered.includes(SUBPROTOCOL)) {
      return { reason: 'subprotocol', status: 400, text: `this relay speaks ${SUBPROTOCOL}` }
    }
    return this.#judgeOrigin(request.headers.origin) ?? this.room(visitor)
  }

  /** Whether there is no room for one more, now. */
  room({ key }: Visitor): Refusal | undefined {
    const { maxClients, maxClientsPerAddress } = this.#options
    if (this.draining) return { reason: 'draining', status: 503, text: 'the relay is draining' }
    if (this.#clients >= maxClients) return { reason: 'full', status: 503, text: 'the relay is full' }
    if (maxClientsPerAddress !== undefined && this.#perAddress.of(key) >= maxClientsPerAddress) {
      return { reason: 'address-full', status: 503, text: 'too many clients from this address' }
    }
    return undefined
  }

  get wantsTokens(): boolean {
    return this.#options.tokens !== undefined
  }

  async checkToken(request: IncomingMessage): Promise<Grant | Refusal | undefined> {
    const result = await this.#options.tokens?.check(request.headers)
    return typeof result === 'string' ? { reason: result, status: 401, text: TOKEN_TEXTS[result] } : result
  }

  enter({ key }: Visitor): void {
    this.#clients++
    this.#perAddress.add(key, 1)
  }

  leave({ key }: Visitor): void {
    this.#clients--
    this.#perAddress.add(key, -1)
  }

  #judgeOrigin(origin: string | undefined): Refusal | undefined {
    const { origins, requireOrigin } = this.#options
    const good = origin === undefined ? !requireOrigin : origins === undefined || origins.includes(origin)
    return good ? undefined : { reason: 'origin', status: 403, text: 'this relay does not serve pages of this origin' }
  }
}
