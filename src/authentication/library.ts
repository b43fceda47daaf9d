/** authentication/library.ts: mailauth, loaded when the first message needs it: it takes 130 ms and some megabytes that a service without
 *  Authentication-Results does not spend. Only those of its parts that verify; the rest of it would bring an HTTP client. */

export async function loadLibrary() {
  const [dkim, spf, dmarc, arc] = await Promise.all([
    import("mailauth/lib/dkim/dkim-verifier.js"),
    import("mailauth/lib/spf/index.js"),
    import("mailauth/lib/dmarc/index.js"),
    import("mailauth/lib/arc/index.js"),
  ]);
  return {
    DkimVerifier: dkim.DkimVerifier,
    spf: spf.spf,
    evaluateDmarc: dmarc.evaluateDmarc,
    arc: arc.arc,
    createSeal: arc.createSeal,
  };
}

export type Library = Awaited<ReturnType<typeof loadLibrary>>;
