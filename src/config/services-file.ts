/** config/services-file.ts: the system's list of port names, as the snapshot carries it. */
import type { ConfigSnapshot } from "./snapshot.ts";

/** Read by load.ts into ConfigSnapshot.files when it exists. */
export const SERVICES_FILE = "/etc/services";

/** The text for parseInetService(); "" where the system has no list. */
export function servicesText(snapshot: ConfigSnapshot): string {
  const image = snapshot.files.get(SERVICES_FILE);
  return image && "bytes" in image ? Buffer.from(image.bytes).toString("latin1") : "";
}
