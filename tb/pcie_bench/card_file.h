// Cards as TOML: a table [card] with every member of card_parameters and nothing else.
#pragma once
#include <string>

#include "model/pcie/bench_card.h"

namespace understudy::tb {

// `name_or_path`: a card that the program knows ("nfp6000"), or a file (anything that ends in ".toml").
// Throws scenario_error: one line, what is wrong and what is allowed.
card_parameters load_card(const std::string& name_or_path);

}  // namespace understudy::tb
