/* SPDX-License-Identifier: MIT */
#include "pack/pipeline.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "tests/support/main.h"

struct slot {
    unsigned number, result;
};

struct run {
    unsigned next; /* the consumer's: number that must come */
    unsigned fail_work_at, fail_consume_at;
    atomic_int workers; /* alive */
};

static void *worker_new(void *opaque, struct nx_error *err)
{
    struct run *run = opaque;
    atomic_fetch_add(&run->workers, 1);
    return run;
}

static void *worker_new_fails(void *opaque, struct nx_error *err)
{
    nx_fail(err, NX_ERR_SYSTEM, "no worker");
    return NULL;
}

static void worker_free(void *worker)
{
    struct run *run = worker;
    atomic_fetch_sub(&run->workers, 1);
}

static int work(void *worker, void *opaque, struct nx_error *err)
{
    const struct run *run = worker;
    struct slot *slot = opaque;
    if (slot->number == run->fail_work_at)
        return nx_fail(err, NX_ERR_FORMAT, "work %u", slot->number);
    /* Uneven, so that slots are done out of order. */
    for (volatile unsigned i = 0; i < (slot->number % 7) * 1000; i++)
        ;
    slot->result = slot->number * 3;
    return 0;
}

static int consume(void *opaque, void *slot_opaque, struct nx_error *err)
{
    struct run *run = opaque;
    const struct slot *slot = slot_opaque;
    if (slot->number == run->fail_consume_at)
        return nx_fail(err, NX_ERR_SYSTEM, "consume %u", slot->number);
    if (slot->number != run->next || slot->result != 3 * slot->number)
        return nx_fail(err, NX_ERR_FORMAT, "got %u (%u), wanted %u", slot->number, slot->result,
                       run->next);
    run->next++;
    return 0;
}

static const struct nx_pipeline_ops ops = { worker_new, worker_free, work, consume };

#define SLOTS 5
#define NEVER UINT32_MAX

static int feed(struct nx_pipeline *p, unsigned count, struct nx_error *err)
{
    for (unsigned i = 0; i < count; i++) {
        void *taken;
        if (nx_pipeline_next(p, true, &taken) < 0)
            break;
        struct slot *slot = taken;
        *slot = (struct slot){ .number = i };
        nx_pipeline_submit(p, slot);
    }
    return nx_pipeline_finish(p, err);
}

static int run_with(struct run *run, unsigned threads, unsigned count, struct nx_error *err)
{
    static struct slot slots[SLOTS];
    struct nx_pipeline *p = NULL;
    nx_assert_ok(nx_pipeline_new(&ops, run, slots, sizeof slots[0], SLOTS, threads, &p, err), *err);
    int ret = feed(p, count, err);
    nx_pipeline_free(p);
    ck_assert_int_eq(run->workers, 0);
    return ret;
}

START_TEST(keeps_the_order)
{
    struct nx_error err = NX_ERROR_INIT;
    for (unsigned threads = 1; threads <= 9; threads += 4) {
        struct run run = { .fail_work_at = NEVER, .fail_consume_at = NEVER };
        nx_assert_ok(run_with(&run, threads, 2000, &err), err);
        ck_assert_uint_eq(run.next, 2000);
    }
    struct run nothing = { .fail_work_at = NEVER, .fail_consume_at = NEVER };
    nx_assert_ok(run_with(&nothing, 2, 0, &err), err);
}
END_TEST

START_TEST(ends_at_a_failure)
{
    struct nx_error err = NX_ERROR_INIT;
    for (unsigned at = 0; at < 20; at += 3) {
        char text[32];
        struct run in_work = { .fail_work_at = at, .fail_consume_at = NEVER };
        snprintf(text, sizeof text, "work %u", at);
        nx_assert_fails(run_with(&in_work, 3, 200, &err), err, text);
        ck_assert_uint_le(in_work.next, at);
        struct run in_consume = { .fail_work_at = NEVER, .fail_consume_at = at };
        snprintf(text, sizeof text, "consume %u", at);
        nx_assert_fails(run_with(&in_consume, 3, 200, &err), err, text);
        ck_assert_uint_eq(in_consume.next, at);
    }
}
END_TEST

START_TEST(tells_that_no_worker_came)
{
    struct nx_error err = NX_ERROR_INIT;
    static const struct nx_pipeline_ops none = { worker_new_fails, worker_free, work, consume };
    static struct slot slots[SLOTS];
    struct run run = { .fail_work_at = NEVER, .fail_consume_at = NEVER };
    struct nx_pipeline *p = NULL;
    nx_assert_ok(nx_pipeline_new(&none, &run, slots, sizeof slots[0], SLOTS, 2, &p, &err), err);
    nx_assert_fails(feed(p, 100, &err), err, "no worker");
    nx_pipeline_free(p);
}
END_TEST

/* Reads come back in any order, so slots are submitted in any order. */
START_TEST(takes_slots_in_any_order)
{
    struct nx_error err = NX_ERROR_INIT;
    static struct slot slots[SLOTS];
    struct run run = { .fail_work_at = NEVER, .fail_consume_at = NEVER };
    struct nx_pipeline *p = NULL;
    nx_assert_ok(nx_pipeline_new(&ops, &run, slots, sizeof slots[0], SLOTS, 2, &p, &err), err);
    for (unsigned round = 0; round < 100; round++) {
        struct slot *taken[SLOTS];
        for (unsigned i = 0; i < SLOTS; i++) {
            void *slot;
            nx_assert_ok(nx_pipeline_next(p, true, &slot), err);
            taken[i] = slot;
            taken[i]->number = round * SLOTS + i;
        }
        void *none;
        nx_assert_ok(nx_pipeline_next(p, false, &none), err);
        ck_assert_ptr_null(none); /* the oldest is not submitted, so nothing is free */
        for (unsigned i = SLOTS; i-- > 0;)
            nx_pipeline_submit(p, taken[i]);
    }
    nx_assert_ok(nx_pipeline_finish(p, &err), err);
    ck_assert_uint_eq(run.next, 100 * SLOTS);
    nx_pipeline_free(p);
}
END_TEST

/* Leaving in the middle, as after Ctrl-C: nothing hangs, nothing leaks. */
START_TEST(can_be_dropped)
{
    struct nx_error err = NX_ERROR_INIT;
    static struct slot slots[SLOTS];
    for (unsigned submitted = 0; submitted <= SLOTS; submitted++) {
        struct run run = { .fail_work_at = NEVER, .fail_consume_at = NEVER };
        struct nx_pipeline *p = NULL;
        nx_assert_ok(nx_pipeline_new(&ops, &run, slots, sizeof slots[0], SLOTS, 2, &p, &err), err);
        for (unsigned i = 0; i < submitted; i++) {
            void *slot;
            nx_assert_ok(nx_pipeline_next(p, true, &slot), err);
            *(struct slot *)slot = (struct slot){ .number = i };
            if (i % 2 == 0)
                nx_pipeline_submit(p, slot);
        }
        nx_pipeline_free(p);
        ck_assert_int_eq(run.workers, 0);
    }
}
END_TEST

NX_TEST_MAIN("pack-pipeline", keeps_the_order, ends_at_a_failure, tells_that_no_worker_came,
             takes_slots_in_any_order, can_be_dropped)
