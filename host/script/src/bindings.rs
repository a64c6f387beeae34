//! Generated from `wit/`: the host's side of the contract.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "script",
    with: {
        "monkeyci:script/jobs.job": crate::host::JobHandle,
        "monkeyci:script/jobs.service": monkeyci_build::ServiceDraft,
        "monkeyci:script/jobs.outcome": monkeyci_api::JobOutcome,
    },
    imports: { default: async | trappable },
    exports: { default: async },
    require_store_data_send: true,
});
