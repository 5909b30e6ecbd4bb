"""Which tests show that the stock stack's sixteen flaws are not ours.

The flaws are those of Ray Tune 2.60 with OptunaSearch, Optuna 5.0 and optuna-dashboard 0.21, each
reproduced there. A test is named by its file and function; the tests beside this file show what
no other one does.
"""

from __future__ import annotations

PROOFS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: (
        "driver killed, restored: trials run anew, more than the budget, points drawn twice",
        (
            "end_to_end/test_interruptions.py::test_killed_and_resumed_equals_uninterrupted",
            "dse/test_study.py::test_a_driver_that_dies_loses_nothing_and_shifts_nothing",
            "dse/launching/test_cheap_lane.py::"
            "test_a_driver_killed_at_any_moment_leaves_nothing_half_written",
        ),
    ),
    2: (
        "trials RUNNING for ever after a driver crash",
        (
            "flaws/test_database_flaws.py::test_nothing_runs_for_ever_after_a_crash",
            "dse/storing/test_postgresql.py::test_what_a_killed_driver_left_running_is_tried_again",
        ),
    ),
    3: (
        "NaN in one objective: stuck RUNNING, no error",
        ("dse/test_study.py::test_a_value_that_is_no_number_fails_its_trial_only",),
    ),
    4: (
        "missing metric: likewise",
        ("dse/test_study.py::test_a_missing_metric_fails_its_trial_and_says_which",),
    ),
    5: (
        "stopped trials are COMPLETE with low-fidelity values, and on the front",
        (
            "dse/test_rungs.py::test_only_full_results_reach_the_front",
            "dse/launching/test_tune.py::test_what_a_scheduler_stops_is_pruned_and_never_complete",
        ),
    ),
    6: (
        "no intermediate values where there are several objectives",
        ("flaws/test_fidelity_flaws.py::test_lower_rungs_keep_all_objectives",),
    ),
    7: (
        "one killed worker is one FAIL, never retried",
        (
            "dse/test_study.py::test_a_lost_design_is_tried_again_with_the_same_parameters",
            "dse/test_study.py::test_a_design_that_kills_every_worker_ends_failed_with_its_reason",
        ),
    ),
    8: (
        "the same seed on resume draws the first points again",
        (
            "dse/test_study.py::test_a_run_in_pieces_equals_a_run_in_one",
            "dse/reading/test_lazy_trials.py::test_a_search_in_pieces_equals_one_in_a_piece",
        ),
    ),
    9: (
        "points of a queue run twice by several processes, which die of it",
        ("flaws/test_database_flaws.py::test_of_processes_that_start_together_one_drives",),
    ),
    10: (
        "no heartbeat for ask and tell",
        (
            "dse/test_database.py::test_a_study_has_one_driver",
            "dse/test_database.py::test_a_lease_ends_with_its_process_or_with_its_beat",
        ),
    ),
    11: (
        "NSGA-II: RecursionError on an imported study, seconds for the first ask",
        ("flaws/test_scale_flaws.py::test_nsga2_takes_up_thousands_of_foreign_trials",),
    ),
    12: (
        "one commit per knob",
        (
            "flaws/test_scale_flaws.py::test_a_batch_of_trials_is_one_transaction",
            "dse/storing/test_bulk_writer.py::"
            "test_a_study_written_in_bulk_equals_one_written_by_add_trials",
        ),
    ),
    13: (
        "every trial is copied to find the best ones",
        (
            "flaws/test_scale_flaws.py::test_the_front_makes_no_trial_objects",
            "dse/reading/test_columns.py::test_the_front_is_the_one_of_the_loaded_trials",
        ),
    ),
    14: (
        "the dashboard sees no constraints: infeasible designs look optimal",
        (
            "flaws/test_database_flaws.py::test_a_dashboard_finds_the_constraints",
            "dse/dashboard/test_dashboard.py::"
            "test_best_trials_are_feasible_and_those_of_our_front",
        ),
    ),
    15: (
        "the dashboard at scale: quadratic front, the whole study on each poll",
        (
            "flaws/test_scale_flaws.py::test_a_dashboard_answers_for_ten_thousand_trials",
            "dse/dashboard/test_dashboard.py::"
            "test_a_page_is_told_only_what_it_lacks_and_changes_are_seen",
            "dse/dashboard/test_dashboard.py::"
            "test_of_a_large_study_the_last_trials_and_the_front_are_shown",
        ),
    ),
    16: (
        "no pruning with several objectives",
        (
            "dse/test_rungs.py::test_half_of_each_rung_climbs",
            "flaws/test_fidelity_flaws.py::test_lower_rungs_keep_all_objectives",
        ),
    ),
}
"""By number: what the stock stack does, and our tests."""
