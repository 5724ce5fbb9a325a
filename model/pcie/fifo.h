#pragma once
#include "model/core/fifo.h"
