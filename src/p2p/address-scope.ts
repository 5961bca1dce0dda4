// Whether an address is one of the public internet or of somebody's own network. A node on the internet dials only the former of what strangers
// tell it, or it could be made to knock at the doors of its own house.

/** First components: RFC 1918, 6598, 3927, 4193, 4291, loopback, "this host"; IPv4 written as IPv6; names that only a local resolver knows. */
const PRIVATE_IP4 =
  /^(0\.|10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/;
const PRIVATE_IP6 = /^(::1?$|f[cd]|fe[89ab]|::ffff:|64:ff9b:)/i;
const LOCAL_NAME = /^[^.]*$|\.(local|localhost|internal|home\.arpa|lan)\.?$/i;

/** True for a multiaddr that leads into a private network or to this machine; also for anything that cannot be judged. */
export function isPrivateAddress(address: string): boolean {
  const [, kind = '', host = ''] = address.split('/');
  if (kind === 'ip4') return PRIVATE_IP4.test(host);
  if (kind === 'ip6') return PRIVATE_IP6.test(host);
  if (/^dns(4|6|addr)?$/.test(kind)) return LOCAL_NAME.test(host);
  return true;
}
