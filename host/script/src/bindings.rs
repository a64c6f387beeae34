//! Generated from `wit/`: the host's side of the contract.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "script",
    with: {
        "monkeyci:script/artifacts.artifact": monkeyci_api::ArtifactInfo,
        "monkeyci:script/artifacts.writer": crate::host::ArtifactWriter,
        "monkeyci:script/events.event": monkeyci_build::Event,
        "monkeyci:script/events.subscription": crate::host::Subscription,
        "monkeyci:script/files.reader": crate::host::FileReader,
        "monkeyci:script/jobs.job": crate::host::JobHandle,
        "monkeyci:script/jobs.service": monkeyci_build::ServiceDraft,
        "monkeyci:script/jobs.outcome": monkeyci_api::JobOutcome,
        "monkeyci:script/jobs.tests": monkeyci_build::TestSummary,
        "monkeyci:script/params.param": crate::host::ParamHandle,
        "monkeyci:script/secrets.secret": crate::host::SecretHandle,
        "monkeyci:script/workspace.metadata": monkeyci_api::FileStat,
    },
    imports: { default: async | trappable },
    exports: { default: async },
    require_store_data_send: true,
});
