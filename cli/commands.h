/*
 * commands: what `hearth` can be asked to do; main.c has the list.
 */
#pragma once
#include "cli/options.h"

extern const struct command command_serve;
extern const struct command command_record;
extern const struct command command_query;
extern const struct command command_doctor;
extern const struct command command_symbolize;
