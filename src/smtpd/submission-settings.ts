/** smtpd/submission-settings.ts: the parameters of FUTURERELEASE, DELIVERBY and MT-PRIORITY of one service, read once. */
import type { Parameters } from "../config/parameters.ts";

export interface SubmissionSettings {
  /** 0: there is no FUTURERELEASE. */
  readonly futureReleaseMaxMs: number;
  /** 0: no limit. */
  readonly futureReleaseQuota: number;
  /** undefined: there is no DELIVERBY. */
  readonly deliverByMinMs: number | undefined;
  readonly priority: boolean;
  /** What EHLO says behind MT-PRIORITY. */
  readonly priorityProfile: string;
  readonly priorityExcess: "lower" | "reject";
  /** It may also come in the header. */
  readonly priorityTunnel: boolean;
  /** Bytes; 0: no limit of its own. */
  readonly prioritySizeLimit: number;
}

export function readSubmissionSettings(params: Parameters): SubmissionSettings {
  // What a filter sends back comes as new mail, without its time.
  const timed = params.get("postern_deliver_by_enable") && params.get("content_filter") === "";
  return {
    futureReleaseMaxMs: params.get("postern_future_release_max"),
    futureReleaseQuota: params.get("postern_future_release_quota"),
    deliverByMinMs: timed ? params.get("postern_deliver_by_min") : undefined,
    priority: params.get("postern_priority_enable"),
    priorityProfile: params.get("postern_priority_profile"),
    priorityExcess: params.get("postern_priority_excess"),
    priorityTunnel: params.get("postern_priority_tunnel"),
    prioritySizeLimit: params.get("postern_priority_size_limit"),
  };
}
