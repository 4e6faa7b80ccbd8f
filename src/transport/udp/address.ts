import { isIPv6 } from 'node:net'

export interface UdpAddress {
  host: string
  port: number
}

/** `host:port`, an IPv6 address in brackets; null for anything else. */
export function parseAddress(text: string): UdpAddress | null {
  const match = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([^:\s[\]]+)):(\d{1,5})$/i.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port < 1 || port > 65_535) return null
  return match?.[1] !== undefined && !isIPv6(host) ? null : { host, port }
}

export function formatAddress({ host, port }: UdpAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
