/** The recipe of 2005 on the ports it names, as root: the master binds 25 and 587, the workers run as mail_owner. */
import { testRecipe } from "../submission-2005/recipe.ts";

if (process.getuid?.() === 0)
  testRecipe("the recipe of 2005, as root on 25 and 587", async () => ({ smtp: 25, submission: 587 }));
else process.stdout.write("not root: the recipe on 25 and 587 cannot be run\n");
