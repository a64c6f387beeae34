// The build of this project. `monkeyci-host check` shows its jobs, `monkeyci-host run` runs them, and `monkeyci-host sim` simulates builds.
// What there is to import is in monkeyci.d.ts, which your editor reads.
import { action, container, param, type Build, type Jobs } from "monkeyci";

export default function (build: Build): Jobs {
  const image = param("image", { default: "debian:12", description: "the image of the tests" });

  const test = container("test", {
    image,
    // One shell runs them, in a copy of the code.
    shell: ["ls -l", "echo 'put the commands of your tests here'"],
  });

  const report = action("report", { needs: test, runWhen: "always" }, (context) => {
    const { succeeded, duration = 0 } = context.lookUp(test);
    context.report(`${build.branch ?? "the code"} is ${succeeded ? "good" : "broken"}, after ${Math.round(duration / 1000)} s`);
  });

  return [test, report];
}
