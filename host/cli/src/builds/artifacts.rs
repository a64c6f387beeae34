//! `monkeyci-host artifacts`

use monkeyci_controller::ArtifactRecord;

use super::{failed, find, heads, plain, table};
use crate::args::{ArtifactsArgs, ArtifactsCommand, GetArtifactArgs};
use crate::exit::Exit;
use crate::progress::Style;
use crate::text::{colours, harmless, print_line, print_text, size};
use crate::{Done, setup};

/// Lists the artifacts of a build, or unpacks one.
pub async fn artifacts(args: ArtifactsArgs) -> Done {
    if let Some(ArtifactsCommand::Get(args)) = args.command {
        return get(args).await;
    }
    let (builds, build) = find(&args.home, &args.build.build).await?;
    let record = builds.record(&build).await.map_err(failed)?;
    let all: Vec<&ArtifactRecord> = record.artifacts().collect();
    if args.json {
        print_line(&serde_json::json!(all).to_string());
    } else if all.is_empty() {
        print_line(&format!("build {build} has saved no artifact"));
    } else {
        print_text(&text(Style { colours: colours(&std::io::stdout()) }, &all));
    }
    Ok(Exit::Success)
}

async fn get(args: GetArtifactArgs) -> Done {
    let (builds, build) = find(&args.stores.home, &args.build).await?;
    let store = setup::blobs(&args.stores);
    let unpacked = builds.unpack_artifact(&store, &build, &args.id, &args.output).await;
    let (artifact, unpacked) = unpacked.map_err(failed)?;
    let files = if unpacked.files == 1 { "1 file".to_owned() } else { format!("{} files", unpacked.files) };
    let into = args.output.display();
    print_line(&format!("{}, saved by {}: {files}, {}, in {into}", artifact.id, artifact.job, size(unpacked.bytes)));
    Ok(Exit::Success)
}

fn text(style: Style, all: &[&ArtifactRecord]) -> String {
    let mut rows = vec![heads(&["ARTIFACT", "SIZE", "JOB", "SHA-256"])];
    rows.extend(all.iter().map(|artifact| {
        let job = match artifact.attempt {
            1 => artifact.job.clone(),
            attempt => format!("{} (attempt {attempt})", artifact.job),
        };
        let digest = format!("{:.12}", artifact.digest);
        vec![plain(harmless(&artifact.id, false)), plain(size(artifact.size)), plain(job), plain(digest)]
    }));
    table(style, &rows, &[1])
}
