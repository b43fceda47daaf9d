import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const MIB = 1024 * 1024;

/** The most MiB of buffers that lay about while 256 MiB of them passed, 64 KiB at a time. */
function peakOf(flags: readonly string[], counted: boolean): number {
  const script = `
    const { BufferMeter } = await import(${JSON.stringify(new URL("./garbage.ts", import.meta.url).href)});
    const meter = new BufferMeter();
    let peak = 0;
    for (let n = 0; n < 4096; n++) {
      const chunk = Buffer.allocUnsafeSlow(65536);
      if (${counted}) meter.count(chunk.length);
      if (n % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    }
    console.log(peak);`;
  const child = spawnSync(process.execPath, [...flags, "--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(child.status, 0, child.stderr);
  return Number(child.stdout) / MIB;
}

test("buffers of a long body that are counted do not gather", () => {
  const [counted, alone] = [peakOf(["--expose-gc"], true), peakOf(["--expose-gc"], false)];
  assert.ok(counted < 8, `${counted} MiB`);
  // Otherwise the meter would be for nothing, and this test could not fail.
  assert.ok(alone > 8, `${alone} MiB`);
});

test("without --expose-gc nothing is collected, and nothing fails", () => {
  assert.ok(peakOf([], true) > 0);
});

test("a process that has become quiet gives back what a burst has left", () => {
  const script = `
    const { collectWhenQuiet } = await import(${JSON.stringify(new URL("./garbage.ts", import.meta.url).href)});
    const { getHeapStatistics } = await import("node:v8");
    // The utilization counts from the first turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 1));
    const looks = [];
    collectWhenQuiet({ after: (ms, run) => looks.push(run) });
    let kept = Array.from({ length: 300_000 }, (_, n) => ({ n }));
    const full = getHeapStatistics().total_physical_size;
    looks.shift()();
    const busy = getHeapStatistics().total_physical_size;
    kept = undefined;
    await new Promise((resolve) => setTimeout(resolve, 500));
    looks.shift()();
    console.log(JSON.stringify([full, busy, getHeapStatistics().total_physical_size, looks.length]));`;
  const child = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(child.status, 0, child.stderr);
  const [full, busy, quiet, looks] = JSON.parse(child.stdout);
  assert.ok(busy > full - MIB, "a busy process is left alone");
  assert.ok(quiet < full - 8 * MIB, `${full / MIB} MiB became ${quiet / MIB}`);
  assert.equal(looks, 1, "the next look is planned");
});
