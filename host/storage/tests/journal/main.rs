//! What every journal promises: one list, tried with each database.
//!
//! PostgreSQL's programs are those that set-up hands over (`monkeyci_testbed::handed`); its server is started by these tests, and
//! ends with them. Nothing is skipped for want of it.

mod database;
mod hang_guard;
mod layout;
mod outages;
mod promises;
mod random;
mod sample;
mod stream;

macro_rules! conformance {
    (databases: $($database:ident),*; promises: $promises:tt) => {
        $(conformance!(@ $database $promises);)*
    };
    (@ $database:ident { $($about:ident: $($promise:ident),*;)* }) => {
        mod $database {
            $($(
                #[test]
                fn $promise() {
                    crate::database::try_with(stringify!($database), async |database| {
                        crate::promises::$about::$promise(database).await
                    });
                }
            )*)*
        }
    };
}

conformance! {
    databases: sqlite, postgres;
    promises: {
        appending:
            what_is_appended_comes_back_in_order_and_after_it_is_opened_again,
            builds_that_are_not_over_are_listed_whatever_their_events_say,
            builds_are_outlined_from_the_newest_on_by_a_few_records_of_each,
            appends_that_queue_while_a_write_is_under_way_go_into_the_next_one,
            a_build_that_can_not_be_written_disturbs_no_other,
            a_full_disk_and_a_busy_database_are_waited_for_and_said,
            an_append_whose_answer_was_lost_is_written_once;
        looking_up:
            builds_are_found_by_a_part_of_their_ids,
            builds_are_found_by_their_branch_and_by_how_they_ended,
            a_journal_without_an_index_gets_it_from_its_records,
            a_build_whose_end_is_lost_is_not_found_among_those_that_ended;
        owning:
            a_journal_is_begun_once,
            an_owner_that_was_replaced_is_refused_and_nothing_of_it_is_kept,
            two_owners_whose_appends_are_in_one_write_are_told_apart,
            of_two_that_take_over_at_once_one_has_the_journal,
            who_read_less_than_there_is_does_not_take_over,
            an_append_that_does_not_follow_the_last_record_is_refused;
        large_values:
            a_large_value_stands_in_the_database_once,
            an_event_that_is_too_large_is_refused_and_the_journal_goes_on,
            a_page_ends_by_bytes_as_well_as_by_count,
            a_removed_build_takes_along_what_no_other_refers_to;
        damage:
            a_journal_that_is_cut_at_the_end_of_a_record_goes_on_from_there,
            whatever_else_is_not_as_it_was_written_is_refused_with_the_number_of_the_record,
            a_newer_layout_is_refused_in_a_sentence;
    }
}

// Of the journal in memory nobody can damage anything, or count what is in it.
conformance! {
    databases: memory;
    promises: {
        appending:
            what_is_appended_comes_back_in_order_and_after_it_is_opened_again,
            builds_that_are_not_over_are_listed_whatever_their_events_say,
            builds_are_outlined_from_the_newest_on_by_a_few_records_of_each,
            an_append_whose_answer_was_lost_is_written_once;
        looking_up:
            builds_are_found_by_a_part_of_their_ids,
            builds_are_found_by_their_branch_and_by_how_they_ended;
        owning:
            a_journal_is_begun_once,
            an_owner_that_was_replaced_is_refused_and_nothing_of_it_is_kept,
            two_owners_whose_appends_are_in_one_write_are_told_apart,
            of_two_that_take_over_at_once_one_has_the_journal,
            who_read_less_than_there_is_does_not_take_over,
            an_append_that_does_not_follow_the_last_record_is_refused;
        large_values:
            an_event_that_is_too_large_is_refused_and_the_journal_goes_on,
            a_page_ends_by_bytes_as_well_as_by_count;
    }
}
