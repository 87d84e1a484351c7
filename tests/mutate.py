"""Break the code on purpose, one line at a time, and watch the test named beside it fail: what MUTATIONS.md lists as repeatable.

    python tests/mutate.py [part of a description]

Works in the tree itself, which must have no uncommitted changes, and puts every file back. Exit status 1 if a mutation is missed.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
SECONDS = 300

MUTATIONS = [  # what, file, text (once in it), its replacement, tests of which at least one must fail
    ("the short last batch is dropped", "vivace/run.py", "np.full(-(-rows // batch), float(batch))",
     "np.full(max(rows // batch, 1), float(batch))", "test_trainer.py::test_the_short_last_batch_is_trained_on"),
    ("packed weights stale: a write from Python does not tell the store", "nn/parameter.py", "            self._store.version += 1",
     "            pass", "../nn/test_module.py::test_a_plan_sees_writes_from_python"),
    ("packed weights stale after a callback wrote weights", "vivace/run.py", "                self.plan.enter()  # a callback",
     "                epoch.epoch + position[0] or self.plan.enter()  # a callback",
     "test_sparse.py::test_weights_written_by_a_callback_are_trained_on"),
    ("every epoch has the order of the first", "vivace/trainer.py", "self.book.permutation(out, self.seed, epoch)",
     "self.book.permutation(out, self.seed, 0)", "test_trainer.py::test_order_of_rows"),
    ("rows held out for validation are trained on", "vivace/trainer.py", "return *rows(np.sort(order[held:])),",
     "return *rows(np.sort(order)),", "test_trainer.py::test_validation_split_is_drawn_by_the_seed_and_not_trained_on"),
    ("Trainer gets an attribute that io.py does not save", "vivace/trainer.py", "        self.spare = {}",
     "        self.extra = 0\n        self.spare = {}", "test_resume.py::test_a_new_piece_of_state_must_be_saved"),
    ("Adam's step count is not loaded", "vivace/io.py", "        optimizer.steps[p] = t\n", "",
     "test_resume.py::test_ten_epochs_and_ten_more_in_a_new_process"),
    ("Adam's moments are not loaded", "vivace/io.py", 'arrays.take(f"optimizer.{s}.{name}", p.shape)',
     '0 * arrays.take(f"optimizer.{s}.{name}", p.shape)',
     "test_resume.py::test_ten_epochs_and_ten_more_in_a_new_process"),
    ("trainer.step is not loaded", "vivace/io.py", 'd["epoch"], d["step"], d["position"]', 'd["epoch"], 0, d["position"]',
     "test_resume.py::test_ten_epochs_and_ten_more_in_a_new_process"),
    ("losses of an epoch that was cut short are not loaded", "vivace/io.py",
     '"result": arrays.take("partial.result", (d["position"], 3), np.float64)',
     '"result": 0 * arrays.take("partial.result", (d["position"], 3), np.float64)',
     "test_resume.py::test_going_on_from_the_middle_of_an_epoch"),
    ("stopping counters of callbacks are not restored", "vivace/trainer.py", "watcher.load_state(found[1])", "pass",
     "test_resume.py::test_early_stopping_goes_on_counting"),
    ("a schedule is restored at its beginning", "vivace/io.py",
     'trainer.scheduler.load_state_dict(_merged(trainer.scheduler.state_dict(), state))', "pass",
     "test_resume.py::test_schedules_go_on"),
    ("parts of a schedule begin with the rate of the file", "nn/optim/lr_scheduler.py", "            scheduler._restore(held)\n", "",
     "test_resume.py::test_schedules_go_on"),
    ("options that were changed are not looked at", "nn/optim/optimizer.py",
     "            if group != options:\n                self._check(group)\n", "", "../nn/test_checks.py::test_a_wrong_option_is_named"),
    ("weights that others use too are kept apart", "nn/shards.py", "not _seen(calls, hidden, masters, itemsize)", "True",
     "../nn/test_shards.py::test_which_layers_are_shared"),
    ("steps flow into each other whatever they touch", "nn/shards.py", "not any(conflict(a, b) for a in own[0] for b in own[1])", "True",
     "../nn/test_shards.py::test_a_step_waits_where_it_writes_what_the_last_one_reads"),
    ("values in the threads' rooms are those of the first", "nn/shards.py", "        whole[:, own] = room[:, own]",
     "        whole[:, own] = rooms[0][:, own]", "../nn/test_shards.py::test_what_is_not_finite_is_named_and_taken_back"),
    ("nobody takes the other threads' weights", "nn/shards.py", "readers = [second] if master is weight and call is sent else ()",
     "readers = ()", "../nn/test_shards.py::test_weights_and_state_are_those_of_a_plan_without"),
    ("weights go through a mail that is too small", "nn/shards.py", "return all(self._lines()", "return True or all(self._lines()",
     "../nn/test_shards.py::test_widths_and_batches"),
    ("values that the other thread needs are kept apart", "nn/replicas.py", "b.apart = b.key() not in others", "b.apart = True",
     "../nn/test_replicas.py::test_what_else_a_step_may_have"),
    ("a step that was left is shown to schedule and callbacks", "vivace/run.py", "if done > told and (",
     "if done >= told and (", "test_faults.py::test_a_stop_in_the_middle_of_a_long_step"),
    ("a step is left after its update began", "vivace/run.py", "if phase <= self.update_phase:", "if True:",
     "test_faults.py::test_ctrl_c_after_each_phase"),
    ("Ctrl-C raises wherever it comes", "vivace/run.py", "        self.came = True\n        signal",
     "        raise KeyboardInterrupt\n        signal", "test_faults.py::test_ctrl_c_leaves_a_state_that_goes_on_as_if_nothing_was"),
    ("Ctrl-C is looked at only when the epoch ends", "vivace/run.py", "ending = self.interrupts.came or time", "ending = time",
     "test_faults.py::test_ctrl_c_after_each_phase"),
    ("optimizer state is not put back with the weights", "vivace/run.py", 'if name != "grad":\n                vector',
     'if name == "data":\n                vector', "test_faults.py::test_training_goes_on_where_it_was_once_the_rate_is_lowered"),
    ("the repetition of steps takes today's learning rate", "vivace/run.py", "                    group.update(saved)\n",
     "                    pass\n",
     "test_faults.py::test_training_goes_on_where_it_was_once_the_rate_is_lowered "
     "test_faults.py::test_an_update_that_overflows_is_taken_back"),
    ("weights that are not finite are not looked for", "vivace/run.py",
     'if (ending or done == stop) and not finite(store.vectors["data"]):', "if False:",
     "test_faults.py::test_an_update_that_overflows_is_taken_back"),
    ("epochs that ran together and broke are not taken back", "vivace/run.py",
     "            self.snapshots.restore()\n            epoch.broken",
     "            epoch.broken", "test_span.py::test_a_span_that_breaks_late_is_gone_through_again"),
    ("the rows of a second epoch begin where a whole last batch would end", "kernels/reference/engine.py", "step // steps * rows,",
     "step // steps * steps * batch,", "test_span.py::test_together_equals_one_by_one"),
    ("an epoch more than is sure runs before the rules of stopping are asked", "vivace/estimators/stopping.py",
     "return e.n_iter_no_change + 1 -", "return e.n_iter_no_change + 2 -", "test_span.py::test_estimators_stop_at_the_same_epoch"),
    ("epochs that an interrupt ended are not written down", "vivace/loop.py", "            self._end(span.part(index), seconds)\n",
     "            trainer = self.trainer\n            trainer.epoch += 1\n",
     "test_span.py::test_ctrl_c_in_the_middle_leaves_whole_epochs_and_the_rest_goes_on"),
    ("a forked child takes a team of threads", "vivace/threads.py", 'if _state["forked"]:', "if False:",
     "test_faults.py::test_a_forked_child_trains"),
    ("the digest is not compared", "vivace/files.py", "if digest.hexdigest().encode() != raw[at:at + len(EMPTY)]:", "if False:",
     "test_io.py::test_every_flipped_bit_is_noticed"),
    ("the description's types are not checked", "vivace/io.py", "        typed(d, DESCRIPTION)\n", "        pass\n",
     "test_io.py::test_lies_are_named"),
    ("a shape in the description is believed", "vivace/io.py",
     'if array is not None and held[f"{prefix}{array}"].shape != shape:', "if False:",
     "test_io.py::test_lies_are_named"),
    ("arrays are written in the order of their memory", "vivace/files.py", 'np.asarray(a, order="C")', "np.asarray(a)",
     "test_io.py::test_fortran_ordered_and_strided_arrays_are_not_scrambled"),
    ("the file is written in place", "vivace/files.py", 'temporary = os.path.join(folder, f".{name[:40]}.{os.urandom(8).hex()}.part")',
     "temporary = path\n    os.path.lexists(path) and os.unlink(path)",
     "test_files.py::test_a_fault_at_any_call_leaves_the_old_file_or_the_new_one"),
    ("the temporary file stays after an error", "vivace/files.py", "            os.unlink(temporary)", "            pass",
     "test_files.py::test_a_fault_at_any_call_leaves_the_old_file_or_the_new_one"),
    ("renamed before it is synced", "vivace/files.py", "            os.fsync(handle)\n", "",
     "test_files.py::test_data_is_synced_before_the_rename_and_the_folder_after_it"),
    ("a short write is taken for a whole one", "vivace/files.py", "        rest = rest[os.write(handle, rest):]",
     "        os.write(handle, rest)\n        return",
     "test_files.py::test_the_disk_is_full_half_way test_files.py::test_short_writes_are_gone_on_with"),
    ("NaN in the inputs is let in", "vivace/prepare.py",
     "    if not finite(array):\n        raise _not_finite(name, array, ~np.isfinite(array))\n    if array", "    if array",
     "test_inputs.py::test_bad_x"),
    ("misaligned input reaches the kernels", "vivace/prepare.py", "if not array.flags.aligned:", "if False:",
     "test_inputs.py::test_what_passes_the_door_is_what_kernels_take"),
    ("a group frozen for a while gets the others' step count", "vivace/trainer.py",
     "if len({self.optimizer.steps[p] - t for p, t in plan.first_steps.items()}) > 1:", "if False:",
     "test_step.py::test_groups_that_were_frozen_for_a_while_keep_their_own_step_count"),
    ("num_threads is cut to the cores", "vivace/threads.py", "n = asked or forced()", "n = min(asked or forced(), cores())",
     "test_threads.py::test_a_number_is_obeyed_exactly"),
    ("a quota is read once and for all", "vivace/threads.py", '"quota until": now + QUOTA_HOLDS', '"quota until": float("inf")',
     "test_threads.py::test_the_quota_of_a_container_is_read"),
    ("tqdm is imported with the package", "vivace/progress.py", "import time\n", "import time\n\nimport tqdm  # noqa: F401\n",
     "test_packaging.py::test_import_is_light"),
    ("a slice allocates for each of its steps", "nn/plan.py", "        workspace = self._workspace\n",
     "        workspace, _ = self._workspace, [np.empty(1 << 18) for _ in range(last_step)]\n",
     "test_memory.py::test_steps_allocate_nothing"),
    ("a second copy of the parameters is kept", "vivace/run.py", "        self.steps, self.count, self.place = dict",
     "        self.more = [v.copy() for v in vectors.values()]\n        self.steps, self.count, self.place = dict",
     "test_memory.py::test_peak_memory"),
    ("snapshots do not count as memory", "nn/plan.py", '"snapshot": vectors if self.trained else 0', '"snapshot": 0',
     "test_memory.py::test_peak_memory"),
    ("the allocation counter does not count", "tests/vivace/count_allocations.c",
     "    atomic_fetch_add(&calls, 1);\n    return __libc_malloc(size);", "    return __libc_malloc(size);",
     "test_memory.py::test_steps_allocate_nothing"),
    ("class weights do not enter the smoothed target", "nn/losses.py",
     '"softmax_cross_entropy_weighted", mean, [self._class_weights()],', '"softmax_cross_entropy", mean,',
     "../nn/test_losses.py::test_values_and_gradients_equal_torch"),
    ("a copied optimizer forgets its moments", "nn/optim/optimizer.py",
     '            self.store.segment(f"{self._id}/{s}", p)[...] = values', "            pass",
     "test_copies.py::test_a_model_and_its_optimizer"),
    ("a copied trainer forgets the average of its weights", "vivace/trainer.py", 'self.store.segment("ema", p)[...] = values', "pass",
     "test_copies.py::test_a_trainer_goes_on"),
    ("an update in place does not reach the parameter", "nn/parameter.py", "        return self.copy_(values)", "        return self",
     "../nn/test_tensor.py::test_a_manual_update_in_place"),
    ("a traced comparison is False", "nn/graph.py", '    __eq__, __ne__, __lt__, __le__, __gt__, __ge__ = map(_refuse, ("==", "!=", '
     '"<", "<=", ">", ">="))\n', "    __eq__ = object.__eq__\n", "../nn/test_trace.py"),
    ("a sum along an axis gives its gradient to the first row alone", "nn/eager_ops.py",
     "dx[...] = dy if self.keepdims else np.expand_dims(dy, self.axes)",
     "dx[...] = 0; dx[:1] = dy if self.keepdims else np.expand_dims(dy, self.axes)", "../nn/test_gradients.py"),
    ("each fit leaves its plans behind", "vivace/trainer.py", "            watchers = self._watchers(callbacks)\n",
     "            watchers = self._watchers(callbacks)\n            Trainer.all = [*getattr(Trainer, 'all', []), bytes(200)]\n",
     "test_leaks.py::test_fits_leave_nothing_behind"),
    ("a class weight of 0 stays 0 beside smoothing", "nn/losses.py", "v.max(initial=0) * 2.0 ** -60, v)", "0.0, v)",
     "../nn/test_losses.py::test_values_and_gradients_equal_torch"),
    ("class weights are forgotten", "nn/losses.py", "return by_class if weight is None else weight * by_class", "return weight",
     "../nn/test_losses.py::test_values_and_gradients_equal_torch"),
    ("a final link is not merged", "nn/loss_value.py", "    if linked and not from_logits:", "    if False:",
     "../nn/test_losses.py::test_a_final_link_is_merged"),
    ("calls that nobody reads are kept", "nn/plan.py", "fuse_activations(drop_unread(recorder.calls))", "fuse_activations(recorder.calls)",
     "../nn/test_plan.py::test_dead_records_are_dropped"),
    ("a gradient is lost when its parameter moves", "nn/store.py", "        elif p._has_grad:", "        elif False:",
     "../nn/test_optim.py::test_a_gradient_from_before_the_optimizer_is_kept"),
    ("gradients of two leaves share memory", "nn/tensor.py", "wrap(np.array(array))", "wrap(array)",
     "../nn/test_tensor.py::test_gradients_accumulate_and_are_their_own"),
    ("all groups get the options of the first", "nn/optim/optimizer.py", "group = self.param_groups[int(index)]\n",
     "group = self.param_groups[0]\n", "../nn/test_eager_equals_plan.py::test_clipping_equals_an_eager_loop"),
    ("clipping counts gradients of an earlier backward()", "nn/plan.py", "                p._grad_array[...] = 0", "                pass",
     "../nn/test_eager_equals_plan.py::test_clipping_ignores_gradients_that_an_earlier_backward_left"),
    ("the update comes before clipping", "nn/plan.py", "update.after = [clip] if clip else []", "update.after = []",
     "../nn/test_eager_equals_plan.py::test_clipping_equals_an_eager_loop"),
    ("statistics: values that a later phase needs no more are overwritten", "nn/schedule.py",
     "end if id(b) in kept or flows and first == 0 else max(last, call.phase)", "max(last, call.phase)",
     "test_statistics.py::test_values_of_a_deep_network_are_kept_to_the_end_of_the_step"),
    ("statistics: a unit flat on some row is dead", "vivace/measure.py", "flat.all(axis=0)", "flat.any(axis=0)",
     "test_statistics.py::test_numbers_are_those_of_numpy"),
    ("statistics: a recorded step takes the hyperparameters of the first", "vivace/measure.py",
     "trainer.optimizer.steps[plan.trained[0]] - plan.first_step)", "0)", "test_statistics.py::test_no_bit_of_the_training_changes"),
    ("statistics: dropout of a recorded step is that of the first", "vivace/measure.py", '["step"]] = trainer.step', '["step"]] = 0',
     "test_statistics.py::test_no_bit_of_the_training_changes"),
    ("statistics: diagnose leaves its step in model and optimizer", "vivace/measure.py", "store.vectors[name][...] = vector", "pass",
     "test_diagnose.py::test_looking_changes_nothing"),
]

def caught(path, text, replacement, tests):
    """The tests that failed; [] where the mutation was missed, or could not be made because the code has changed."""
    original = path.read_text()
    if original.count(text) != 1:
        print(f"{path.name} must hold {text!r} once, it does {original.count(text)} times: write the mutation anew", flush=True)
        return []
    path.write_text(original.replace(text, replacement))
    try:
        failed = []
        for test in tests.split():
            try:
                command = [*PYTEST, str(ROOT / "tests/vivace" / test)]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=SECONDS)
                failed += [test] if done.returncode == 1 else []
            except subprocess.TimeoutExpired:
                failed.append(f"{test} (its watchdog)")
        return failed
    finally:
        path.write_text(original)


def main(part=""):
    if subprocess.run(["git", "diff", "--quiet"], cwd=ROOT).returncode:
        raise SystemExit("the tree has uncommitted changes: commit them first")
    missed = 0
    for what, path, text, replacement, tests in MUTATIONS:
        if part in what:
            found = caught(ROOT / path, text, replacement, tests)
            missed += not found
            print(f"| {what} (`{pathlib.Path(path).name}`) | {', '.join(f'`{test}`' for test in found) or '**missed**'} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
