/*
 * mutex_priv.h - what a condition needs of the mutex its waiters hold.
 */
#ifndef WEFT_LIB_FLOW_MUTEX_PRIV_H
#define WEFT_LIB_FLOW_MUTEX_PRIV_H

#include <stdbool.h>

#include <weft/sync.h>

/* Whether the calling task or thread holds it. */
bool weft__mutex_is_mine(const weft_mutex *mutex);

/* Takes the mutex, in line like everybody, whatever happens to the task meanwhile. */
void weft__mutex_lock_through(weft_mutex *mutex);

#endif
