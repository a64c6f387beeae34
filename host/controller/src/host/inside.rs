//! Inside the jobs of a build.

use super::build::Build;
use super::sources::BuildContext;
use crate::error::ControllerError;
use crate::inside::{self, Shell, ShellError, ShellRequest};
use crate::running::{Known, Needed};

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
        mut request: ShellRequest,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Shell, ShellError> {
        if request.with_secrets {
            let needs = self.needed_inside(&request.job).await?;
            let history = self.host.0.journals.history(self.id()).await.map_err(ControllerError::from)?;
            let known = history.map(|history| Known::of(&history.events)).unwrap_or_default();
            if let Some(requested) = &known.requested {
                let context = BuildContext::again(self.id(), &known, requested);
                let collected = self.host.collect(&context, &mut request.inputs, Some(&needs)).await;
                collected
                    .map_err(|error| ShellError::Values { job: request.job.clone(), reason: error.to_string() })?;
            }
        }
        inside::open(self.host.builds(), &self.host.0.services.engines, self.id(), request, progress).await
    }

    /// What has to be given again for a program that is to have the secrets of a job and of its services.
    ///
    /// # Errors
    /// When there is no such job, it has no containers, or they are not made yet.
    pub async fn needed_inside(&self, job: &str) -> Result<Needed, ShellError> {
        inside::needed(&self.host.builds(), self.id(), job).await
    }
}
