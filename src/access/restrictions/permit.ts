/** access/restrictions/permit.ts: `permit`. Ends the list; what stands behind it is dead. */
import { PERMIT, type Word } from "../restriction.ts";

export const permit: Word = { names: ["permit"], argument: "none", build: () => () => PERMIT };
