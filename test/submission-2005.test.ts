/** The recipe on ports above 1024, as whoever runs the tests. */
import { testRecipe } from "./submission-2005/recipe.ts";
import { freePort } from "./testbed/server.ts";

testRecipe("the recipe of 2005, on ports above 1024", async () => ({
  smtp: await freePort(),
  submission: await freePort(),
}));
