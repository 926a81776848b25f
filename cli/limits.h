/*
 * limits: what the system allows this process.
 */
#pragma once

/* Allow as many open files as may be: every executable that runs is held open by a descriptor.
 * With fewer, fewer files are named; nothing breaks. */
void limits_raise_files(void);
