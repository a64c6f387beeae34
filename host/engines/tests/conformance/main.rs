//! What every engine promises: one list, tried with each engine.
//!
//! Engines and images are those that set-up hands over (`monkeyci_testbed::handed`): `cargo xtask setup --podman` provides both engines.
//! Nothing is skipped for want of an engine. Addresses that a pod's fence has to refuse are tried only where a rule of the
//! test's own drops them too (`Host::drop_in_network_of`).

mod hang_guard;
mod host;
mod outside;
mod probe_program;
mod promises;

macro_rules! conformance {
    (engines: $($engine:ident),*; promises: $promises:tt) => {
        $(conformance!(@ $engine $promises);)*
    };
    (@ $engine:ident { $($about:ident: $($promise:ident),*;)* }) => {
        mod $engine {
            $($(
                #[test]
                fn $promise() {
                    crate::host::try_with(stringify!($engine), |host| {
                        Box::pin(crate::promises::$about::$promise(host))
                    });
                }
            )*)*
        }
    };
}

conformance! {
    engines: docker, podman;
    promises: {
        inside:
            job_and_sidecar_share_a_volume,
            configuration_and_api_are_seen_by_the_sidecar_alone,
            the_job_cannot_change_the_launcher,
            shared_memory_is_as_large_as_the_job_says,
            a_job_without_a_limit_has_less_than_all_of_the_memory,
            the_job_has_its_environment_and_a_sidecar_without_ports_to_probe_has_no_network;
        users:
            the_job_runs_as_the_user_that_it_asks_for,
            a_user_that_the_image_does_not_know_is_named,
            job_and_sidecar_have_the_same_few_capabilities_with_every_engine,
            the_number_of_processes_has_a_limit;
        architectures:
            a_job_runs_for_the_architecture_that_it_asks_for,
            an_architecture_that_the_image_does_not_have_is_named,
            an_architecture_that_does_not_exist_is_named_at_once;
        ends:
            the_exit_code_comes_through_also_when_the_job_ended_before_the_wait,
            a_killed_job_ends_with_137,
            a_killed_sidecar_ends_with_137_and_the_job_goes_on,
            a_job_that_eats_its_memory_is_killed_and_says_so,
            a_removed_container_is_no_such_part,
            stop_lets_the_job_end_by_itself,
            stop_kills_a_job_that_does_not_listen_after_the_grace,
            the_last_lines_are_kept;
        images:
            an_image_of_a_registry_that_refuses_connections_may_be_there,
            an_image_of_a_registry_that_is_silent_is_given_up_within_ten_seconds,
            an_image_that_is_no_reference_is_not_found,
            an_image_that_is_there_is_pulled_where_the_job_says_so,
            an_image_that_is_never_pulled_has_to_be_there,
            a_sidecar_image_that_somebody_cleared_is_made_again,
            two_engines_make_the_sidecar_image_at_once;
        failures:
            a_job_that_cannot_start_says_why,
            a_sidecar_that_cannot_start_says_why;
        services:
            a_service_is_reached_by_its_name_and_probed_by_its_address,
            a_service_is_not_reached_from_another_pod,
            the_job_starts_when_the_ready_command_has_succeeded,
            a_service_that_is_never_ready_is_reported_with_its_last_lines,
            a_service_that_crashes_is_reported_at_once,
            a_sidecar_that_fails_while_services_get_ready_ends_the_start,
            a_ready_command_that_does_not_exist_is_reported_at_once,
            a_services_secrets_are_among_its_variables_and_not_in_its_configuration;
        network:
            the_internet_is_reached_and_private_networks_are_not,
            a_service_reaches_what_its_job_reaches,
            the_machine_is_not_reached,
            metadata_is_refused_at_once,
            sockets_that_know_no_networks_can_not_be_made,
            without_network_only_the_pod_is_reached,
            what_is_allowed_is_reached_beside,
            what_is_private_has_to_be_permitted,
            a_pods_network_that_is_made_later_is_not_reached,
            pods_networks_are_of_the_range_that_every_fence_refuses,
            a_pod_that_finds_no_free_network_waits_for_one,
            a_pod_does_not_wait_for_the_networks_of_others,
            services_know_each_other_by_name,
            a_service_cannot_take_its_fence_down,
            a_service_is_its_images_user_and_has_its_home;
        again:
            a_second_start_starts_nothing_again,
            a_start_that_was_dropped_is_finished_by_the_next,
            ten_pods_at_once;
        cleaning:
            remove_leaves_nothing,
            remove_of_what_was_never_made_is_no_error,
            remove_after_a_dropped_start_leaves_nothing,
            sweep_removes_dead_builds_and_nothing_else;
    }
}
