/** Whether only this machine reaches a host name or address. */
export function isLoopback(host: string): boolean {
  const address = host.toLowerCase().replace(/^::ffff:/, "");
  return address === "localhost" || address === "::1" || isOf127(address);
}

function isOf127(address: string): boolean {
  const parts = address.split(".");
  return parts.length === 4 && parts[0] === "127" && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}
