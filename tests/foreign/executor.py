"""The tests of executors of processes that are left out, and why."""

OTHERWISE = "expects the whole executor to break, where only the one future fails"
UNREADABLE = "expects a broken executor of what won't unpickle; here it is the one future's own error, a PicklingError"
UNPICKLABLE = "expects SystemExit of a result that won't pickle; here it is a PicklingError"

LEFT_OUT = {
    "ProcessPoolExecutorTest.test_idle_process_reuse_multiple": "counts the workers in the private `_processes`",
    "ProcessPoolExecutorTest.test_idle_process_reuse_one": "counts the workers in the private `_processes`",
    "ProcessPoolExecutorTest.test_killed_child": OTHERWISE,
    "ProcessPoolExecutorTest.test_max_tasks_per_child": "counts the private `_processes`; expects a refusal if forked",
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context": "reads the private `_mp_context`",
    "ProcessPoolExecutorTest.test_python_finalization_error": "keeps a second thread from starting: there is only one",
    "ProcessPoolExecutorTest.test_saturation": "counts the workers in the private `_processes`",
    "ProcessPoolShutdownTest.test_context_manager_shutdown": "joins the private `_processes`",
    "ProcessPoolShutdownTest.test_del_shutdown": "joins the private `_executor_manager_thread`",
    "ProcessPoolShutdownTest.test_processes_terminate": "counts the workers in the private `_processes`",
    "ProcessPoolShutdownTest.test_shutdown_no_wait": "joins the private `_executor_manager_thread`",
    "ExecutorDeadlockTest.test_error_at_task_unpickle": UNREADABLE,
    "ExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler": UNREADABLE,
    "ExecutorDeadlockTest.test_exit_at_task_unpickle": UNREADABLE,
    "ExecutorDeadlockTest.test_exit_during_result_pickle_on_worker": UNPICKLABLE,
    "ExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler": UNREADABLE,
    "ExecutorDeadlockTest.test_shutdown_deadlock_pickle": "joins the private `_executor_manager_thread`",
}

# Likewise, of tests that not every supported Python has.
LEFT_OUT_IF_THERE = {
    "ProcessPoolExecutorTest.test_broken_process_pool_traceback": "ends one of the private `_processes`",
    "ProcessPoolExecutorTest.test_failed_worker_replacement_breaks_pool": "joins the private manager thread",
    "ProcessPoolExecutorTest.test_force_shutdown_during_max_tasks_worker_exit": "joins the private manager thread",
    "ProcessPoolExecutorTest.test_force_shutdown_workers": "watches one of the private `_processes`",
    "ProcessPoolExecutorTest.test_force_shutdown_workers_stops_pool": "watches one of the private `_processes`",
    "ProcessPoolExecutorTest.test_gc_during_max_tasks_worker_exit_gh152967": "joins the private manager thread",
    "ProcessPoolExecutorTest.test_kill_workers": "expects a call of the private `_force_shutdown`",
    "ProcessPoolExecutorTest.test_map_buffersize_type_validation": "expects other words",
    "ProcessPoolExecutorTest.test_map_buffersize_value_validation": "expects other words",
    "ProcessPoolExecutorTest.test_shutdown_no_wait_max_tasks_gh119592": "joins the private manager thread",
    "ProcessPoolExecutorTest.test_traceback_when_child_process_terminates_abruptly": "expects a death to have a cause",
    "ProcessPoolExecutorTest.test_terminate_workers": "expects a call of the private `_force_shutdown`",
    "ProcessPoolShutdownTest.test_shutdown_gh_132969_case_1": "joins the private `_executor_manager_thread`",
    "ProcessPoolShutdownTest.test_shutdown_gh_132969_case_2": "joins the private `_executor_manager_thread`",
}
