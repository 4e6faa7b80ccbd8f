import { inside, ip, nft } from './namespaces.ts'

/**
 * What a home's router does with UDP. `'consistent'`: one outer port for all destinations, as most do; `'random'`: another
 * one for each, as symmetric NATs of companies and of mobile networks do; `'open'`: no NAT, and no firewall.
 */
export type Nat = 'consistent' | 'random' | 'open'

/** Bytes that have passed a home's router, both ways, headers included. */
export interface Traffic {
  /** UDP from or to other homes. */
  direct: number
  /** TCP, which leads to the relay only. */
  relay: number
}

/** Whatever else comes in is dropped, never refused: a stray punch that conntrack had confirmed would take the port of the next outgoing one. */
const FIREWALL = `
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "wan" drop
  }
  chain forward {
    type filter hook forward priority 10; policy drop;
    ct state established,related accept
    iifname "lan" accept
  }`

/** One host behind a router of its own, on the internet of a lab. The figure makes its addresses different from others'. */
export class Home {
  readonly nat: Nat
  /** The namespace that peers run in. */
  readonly host: string
  readonly #router: string
  readonly #gateway: string
  readonly #number: number

  constructor(options: { nat: Nat; number: number; host: string; router: string; internet: string }) {
    const { nat, number, host, router, internet } = options
    this.nat = nat
    this.host = host
    this.#router = router
    this.#number = number
    const wan = `8.0.0.${100 + number}`
    // Behind NATs all are alike, as real homes are.
    const net = nat === 'open' ? `8.1.${number}` : '192.168.1'
    this.#gateway = `${net}.1`
    ip(
      null,
      `link add wan netns ${router} type veth peer name home${number} netns ${internet}
       link add lan netns ${router} type veth peer name eth0 netns ${host}`,
    )
    ip(internet, `link set home${number} master br0 up\n${nat === 'open' ? `route add ${net}.0/24 via ${wan}` : ''}`)
    ip(
      router,
      `address add ${wan}/24 dev wan
       link set wan up
       address add ${net}.1/24 dev lan
       link set lan up
       route add default via 8.0.0.1`,
    )
    ip(host, `address add ${net}.2/24 dev eth0`)
    this.plug()
    inside(router, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
    const masquerade = { consistent: 'masquerade', random: 'masquerade fully-random', open: '' }[nat]
    nft(
      router,
      `table ip switches {
         chain forward { type filter hook forward priority 0; }
       }
       table ip counters {
         counter direct { }
         counter relay { }
         set homes { type ipv4_addr; flags interval; elements = { 8.0.0.100-8.0.0.255, 8.1.0.0/16 }; }
         chain forward {
           type filter hook forward priority 5;
           oifname "wan" ip daddr @homes meta l4proto udp counter name direct
           iifname "wan" ip saddr @homes meta l4proto udp counter name direct
           meta l4proto tcp counter name relay
         }
       }
       table ip router {
         chain postrouting {
           type nat hook postrouting priority 100;
           ${masquerade === '' ? '' : `oifname "wan" ${masquerade}`}
         }
         ${nat === 'open' ? '' : FIREWALL}
       }`,
    )
  }

  /** What the router lets through from now on; connections that are under way are no exception. */
  block(what: { udp?: boolean; tcp?: boolean }): void {
    const rules = (['udp', 'tcp'] as const).filter((protocol) => what[protocol] === true)
    const commands = rules.map((protocol) => `add rule ip switches forward meta l4proto ${protocol} drop`)
    nft(this.#router, ['flush chain ip switches forward', ...commands].join('\n'))
  }

  /** Pulls the network cable out of the host. */
  unplug(): void {
    ip(this.host, 'link set eth0 down')
  }

  /** Puts it back. */
  plug(): void {
    ip(this.host, `link set eth0 up\nroute add default via ${this.#gateway}`)
  }

  /** Gives the router another address, as a provider does overnight: what its NAT knew is forgotten. */
  renumber(): void {
    const [before, after] = [`8.0.0.${100 + this.#number}`, `8.0.0.${150 + this.#number}`]
    ip(
      this.#router,
      `address del ${before}/24 dev wan
       address add ${after}/24 dev wan
       route replace default via 8.0.0.1`,
    )
  }

  traffic(): Traffic {
    const { nftables } = JSON.parse(nft(this.#router, 'list counters', '--json')) as {
      nftables: { counter?: { name: keyof Traffic; bytes: number } }[]
    }
    const traffic = { direct: 0, relay: 0 }
    for (const { counter } of nftables) if (counter !== undefined) traffic[counter.name] = counter.bytes
    return traffic
  }
}
