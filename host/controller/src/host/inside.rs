//! Inside the jobs of a build.

use super::build::Build;
use crate::inside::{self, Shell, ShellError, ShellRequest};

impl Build {
    /// Runs a program in the container of a job: of one that runs, in whatever process, or of a failed one whose containers were
    /// [kept](crate::BuildRequest::keep_failed). As the job's user, in its working directory, with its variables, its network, and its
    /// services. `progress` is told what takes long.
    ///
    /// ```no_run
    /// # async fn example(build: monkeyci_controller::Build) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures::StreamExt;
    /// use monkeyci_controller::ShellRequest;
    ///
    /// let request = ShellRequest::new("unit-test").command(["ls", "-l", "target"]);
    /// let mut shell = build.shell(request, &|text| println!("{text}")).await?;
    /// while let Some(said) = shell.session.output.next().await {
    ///     println!("{:?}", said?);
    /// }
    /// let (code, left) = shell.end().await?;
    /// println!("exited with {code}: {left:?}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no such job, it has no containers, or the engine fails.
    pub async fn shell(
        &self,
        request: ShellRequest,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Shell, ShellError> {
        inside::open(self.host.builds(), &self.host.0.services.engines, self.id(), request, progress).await
    }
}
