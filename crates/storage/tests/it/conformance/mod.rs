//! One suite for everything that implements the metadata seams.
//!
//! A new implementation needs a function like [`sqlite`], which makes a store with nothing in it,
//! and a line like those at the end of this file. Each case is a test with its own name.

mod adoption;
mod bench;
mod blobs;
mod collection;
mod concurrent;
mod duties;
mod finished;
mod holds;
mod immutable;
mod inventory;
mod lists;
mod manifests;
mod objects;
mod operation;
mod outbox;
mod planned;
mod quota_counts;
mod quotas;
mod random;
mod retention;
mod tag_history;
mod untagged;
mod uploads;

use std::sync::Arc;

use common::{BoxFuture, Clock};
use database::{DatabaseLocation, SqliteDatabase};
use postgresql::PostgresPool;
use storage::memory::MemoryMetadata;
use storage::{MetadataStores, Retention, Sqlite};

use crate::postgres::{TestDatabase, replica};
use crate::world::open_database;
use bench::StoresUnderTest;

fn memory(retention: Retention, clock: Arc<dyn Clock>) -> BoxFuture<'static, StoresUnderTest> {
    Box::pin(async move {
        let metadata = Arc::new(MemoryMetadata::new(retention, clock));
        StoresUnderTest {
            handles: [(); 2].map(|()| MetadataStores::new(Arc::clone(&metadata))),
            recovery: metadata,
            guard: Arc::new(()),
        }
    })
}

/// A server, and a command beside it.
fn sqlite(retention: Retention, clock: Arc<dyn Clock>) -> BoxFuture<'static, StoresUnderTest> {
    Box::pin(async move {
        let directory = tempfile::tempdir().unwrap();
        let database = open_database(directory.path());
        let server = Sqlite::new(database, retention, Arc::clone(&clock));
        let server = Arc::new(server.unwrap());
        let location = DatabaseLocation::at(directory.path().join("w.db"));
        let beside = SqliteDatabase::open(&location).unwrap();
        let command = Arc::new(Sqlite::for_command(beside, retention, clock).unwrap());
        StoresUnderTest {
            handles: [Arc::clone(&server), command].map(MetadataStores::new),
            recovery: server,
            guard: Arc::new(directory),
        }
    })
}

/// Two servers that share a database.
fn postgres(retention: Retention, clock: Arc<dyn Clock>) -> BoxFuture<'static, StoresUnderTest> {
    Box::pin(async move {
        let database = TestDatabase::new();
        replicas(
            &database,
            [database.pool(), database.pool()],
            retention,
            &clock,
        )
    })
}

/// The same behind a pooler that forbids prepared statements.
fn pooled(retention: Retention, clock: Arc<dyn Clock>) -> BoxFuture<'static, StoresUnderTest> {
    Box::pin(async move {
        let database = TestDatabase::new();
        replicas(
            &database,
            [database.pooled(), database.pooled()],
            retention,
            &clock,
        )
    })
}

fn replicas(
    database: &Arc<TestDatabase>,
    [one, two]: [PostgresPool; 2],
    retention: Retention,
    clock: &Arc<dyn Clock>,
) -> StoresUnderTest {
    let replica = |pool, number| Arc::new(replica(pool, number, retention, Arc::clone(clock)));
    let (one, two) = (replica(one, 1), replica(two, 2));
    StoresUnderTest {
        handles: [Arc::clone(&one), two].map(MetadataStores::new),
        recovery: one,
        guard: Arc::clone(database) as _,
    }
}

/// Makes a test of each case.
macro_rules! tests {
    ($make:path, $($module:ident { $($case:ident,)* })*) => {
        $(
            mod $module {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        crate::conformance::$module::$case($make).await;
                    }
                )*
            }
        )*

        #[test]
        fn what_is_planned_is_done() {
            crate::conformance::planned::what_is_planned_is_done($make);
        }

        #[test]
        fn the_same_operations_have_the_same_results() {
            crate::conformance::random::the_same_operations_have_the_same_results($make);
        }
    };
}

/// Makes a module with a test of each case for one implementation.
macro_rules! conformance {
    ($implementation:ident, $make:path) => {
        mod $implementation {
            tests! {
                $make,
                manifests {
                    a_manifest_is_found_as_it_was_pushed,
                    an_unknown_repository_is_not_an_unknown_manifest,
                    tags_and_digests_are_their_repositorys_own,
                    a_push_creates_the_repository,
                    a_push_sets_many_tags,
                    an_existing_manifest_is_not_changed,
                    a_tag_moves,
                    a_manifest_needs_the_blobs_of_its_own_repository,
                    a_failed_push_changes_nothing,
                    of_many_missing_blobs_a_hundred_are_named,
                    a_manifest_may_lack_blobs_if_the_caller_says_so,
                    children_subjects_and_foreign_layers_may_be_missing,
                    a_removed_manifest_takes_its_tags_along,
                    a_removed_manifest_can_be_pushed_again,
                    remove_and_untag_of_what_is_unknown,
                    untag_keeps_the_manifest,
                    a_repository_outlives_its_manifests,
                    removing_a_child_or_a_subject_changes_no_other_manifest,
                    the_longest_names,
                    the_second_handle_sees_every_change_at_once,
                }
                lists {
                    tags_in_the_order_of_their_bytes,
                    a_page_of_nothing_says_whether_there_is_more,
                    a_page_of_tags_begins_after_any_text,
                    tags_of_an_unknown_repository,
                    repositories_in_the_order_of_their_bytes,
                    repositories_without_manifests_are_not_listed,
                    referrers_describe_themselves,
                    referrers_of_one_artifact_type,
                    referrers_by_digest_in_pages,
                    referrers_that_fill_a_page,
                    referrers_of_a_subject_in_its_repository_only,
                }
                blobs {
                    a_blob_belongs_to_its_repository,
                    find_all_returns_what_there_is,
                    the_same_content_is_one_blob,
                    a_mount_gives_the_same_blob_to_another_repository,
                    a_mount_needs_the_blob_in_the_other_repository,
                    unlink_takes_a_blob_from_one_repository,
                    unlink_changes_no_manifest,
                    an_unlinked_blob_can_be_uploaded_again,
                    holders_by_name_in_pages,
                    the_second_handle_sees_every_blob_at_once,
                }
                uploads {
                    a_new_upload_is_empty,
                    an_upload_belongs_to_its_repository,
                    a_checkpoint_comes_back,
                    the_largest_upload,
                    each_checkpoint_increases_the_fence,
                    an_overtaken_writer_changes_nothing,
                    an_unknown_upload_has_no_checkpoint,
                    end_is_no_error_twice,
                    the_longest_idle_upload_makes_room,
                    an_active_upload_makes_no_room,
                    a_smaller_limit_removes_several_or_none,
                    each_client_has_its_own_limit,
                    an_idle_upload_expires,
                    an_upload_that_is_continued_does_not_expire,
                    expired_uploads_in_portions,
                    all_uploads_by_id,
                    an_upload_that_became_a_blob_is_unknown,
                }
                objects {
                    objects_that_a_row_no_longer_names_are_unused,
                    objects_of_an_upload_that_ends_are_unused,
                    the_object_that_becomes_a_blob_is_used,
                    a_pending_row_of_an_upload_with_objects_is_no_garbage,
                }
                finished {
                    a_blob_can_be_pulled_once_it_is_committed,
                    a_blob_that_exists_needs_no_content,
                    an_empty_blob,
                    generations_and_keys_are_never_used_twice,
                    of_two_uploads_of_one_content_the_faster_counts,
                    an_aborted_row_is_gone_and_its_upload_stays,
                    abort_changes_no_committed_blob,
                    pending_rows_are_listed_oldest_first,
                    a_pending_row_left_behind_is_swept,
                    a_replaced_blob_reaches_every_holder,
                    a_blob_is_replaced_once,
                    a_replacement_that_was_swept_changes_nothing,
                }
                collection {
                    an_idle_blob_is_marked_swept_and_removed,
                    a_blob_is_kept_for_the_grace_time,
                    finding_a_blob_is_no_lease,
                    a_marked_blob_waits,
                    each_use_unmarks_a_blob,
                    a_failed_push_unmarks_nothing,
                    a_marked_blob_that_is_needed_again_is_kept,
                    a_blob_that_a_manifest_refers_to_is_kept,
                    a_subject_is_no_reference_to_a_blob,
                    a_deleting_blob_is_gone_for_every_caller,
                    content_uploaded_again_is_another_blob,
                    purge_removes_only_what_is_deleting,
                    deletable_blobs_in_portions,
                    content_stays_while_it_is_retained,
                    a_plan_changes_nothing_and_is_carried_out,
                    many_blobs_and_repositories_take_several_steps,
                }
                holds {
                    a_hold_keeps_all_content,
                    a_hold_ends_by_itself_unless_it_is_renewed,
                    the_last_of_several_holds_counts,
                }
                untagged {
                    untagged_manifests_stay_unless_an_age_is_set,
                    the_longer_of_age_and_grace_time_counts,
                    a_lease_and_a_push_keep_an_untagged_manifest,
                    a_manifest_keeps_its_age_when_its_tag_goes,
                    children_of_what_stays_stay,
                    an_untagged_index_is_not_kept_by_its_children,
                    subjects_and_referrers_keep_each_other,
                    a_circle_of_manifests_is_not_needed_by_itself,
                    another_repository_keeps_no_manifest,
                    a_repository_loses_blobs_that_only_others_need,
                    an_empty_repository_goes,
                    a_pruned_manifest_is_in_no_list,
                }
                retention {
                    a_removed_tag_leaves_a_tombstone,
                    a_tag_that_was_used_since_stays,
                    collection_keeps_what_a_tombstone_holds,
                    without_an_age_only_released_manifests_go,
                    what_was_used_since_is_not_released,
                    a_restored_tag_is_as_it_was,
                    the_history_has_what_retention_does,
                    a_tombstone_goes_with_its_manifest,
                    pulls_are_noted_with_the_manifest,
                    the_tags_and_the_size_of_an_image,
                }
                outbox {
                    each_change_writes_its_records,
                    any_payload_comes_back,
                    a_failed_change_writes_none,
                    records_in_portions,
                    acknowledged_records_are_removed,
                    each_kind_is_read_and_acknowledged_alone,
                    no_number_is_used_twice,
                    records_outlive_their_repository,
                }
                immutable {
                    an_immutable_tag_does_not_move,
                    patterns_match_whole_names,
                    of_several_tags_one_refuses_all,
                    an_immutable_tag_does_not_go,
                    what_an_immutable_tag_needs_stays,
                    a_circle_of_indexes_ends_the_search,
                    collection_takes_nothing_of_an_immutable_tag,
                    of_many_first_pushes_one_wins,
                    a_pattern_of_stars_is_no_load,
                }
                tag_history {
                    each_change_of_a_tag_is_there,
                    a_tag_that_stays_has_no_change,
                    a_change_that_fails_is_not_there,
                    changes_in_pages,
                    old_changes_are_forgotten_and_keep_nothing,
                }
                quotas {
                    a_push_over_a_limit_changes_nothing,
                    each_nested_limit_holds,
                    a_blob_needs_room_unless_the_prefix_has_it,
                    a_restored_tag_needs_room,
                    a_warning_comes_when_a_share_is_crossed,
                }
                quota_counts {
                    a_blob_counts_once_within_a_prefix,
                    what_is_there_is_counted_when_it_is_tracked,
                    a_replaced_blob_counts_as_before,
                    a_change_counts_a_prefix_that_is_not_tracked,
                    collection_gives_room,
                    adopted_content_is_counted,
                    of_many_prefixes_those_that_cover_a_repository_count,
                }
                duties {
                    work_is_due_again_after_its_period,
                    work_that_failed_is_due,
                }
                inventory {
                    all_blobs_by_generation,
                    the_blobs_of_a_repository_by_generation,
                    manifests_by_digest_and_tags_by_name,
                    an_unknown_repository_has_no_inventory,
                    damage_affects_everything_above_it,
                    damage_to_what_is_untagged,
                }
                adoption {
                    an_adoption_goes_through_its_stages,
                    each_location_is_a_store,
                    adopted_images_can_be_pulled,
                    an_interrupted_adoption_continues,
                    a_complete_adoption_begins_again,
                    nothing_of_a_repository_that_was_read_is_taken_in,
                    what_exists_stays_as_it_is,
                    a_repository_comes_in_parts,
                    adopted_blobs_are_kept_until_the_adoption_is_final,
                    adoption_is_a_lease,
                    a_damaged_adopted_blob_is_replaced,
                }
                concurrent {
                    one_content_uploaded_by_many_is_one_blob,
                    of_many_writers_one_wins_each_fence,
                    a_limit_holds_for_many_at_once,
                    a_tag_that_many_push_points_at_one_of_theirs,
                    a_tag_never_points_at_a_removed_manifest,
                    pushes_removals_and_collections_at_once,
                    of_pushes_that_exceed_a_limit_together_some_are_refused,
                    pushes_in_nested_prefixes_are_counted_at_once,
                    tracking_beside_pushes_misses_nothing,
                }
            }
        }
    };
}

conformance!(in_memory, crate::conformance::memory);
conformance!(in_sqlite, crate::conformance::sqlite);
conformance!(in_postgres, crate::conformance::postgres);
conformance!(behind_a_pooler, crate::conformance::pooled);
