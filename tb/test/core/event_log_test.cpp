#include "model/core/event_log.h"

#include <gtest/gtest.h>

#include <vector>

namespace understudy {
namespace {

struct listener : event_observer {
  std::vector<std::uint64_t> heard;
  void on_event(const event& e) override { heard.push_back(e.number); }
};

void emit(event_log& log, event_kind k) {
  log.emit({k, 0, 1_ns, 2, 3});
}

TEST(EventLog, AnObserverHearsOfTheKindsThatItAskedForAndOneWithoutAWishOfAll) {
  event_log log;
  listener all, frames, none;
  log.subscribe(&all);
  log.subscribe(&frames, {event_kind::frame_in, event_kind::frame_out});
  log.subscribe(&none, {});
  for (int k = 0; k < event_kinds; ++k) emit(log, static_cast<event_kind>(k));
  EXPECT_EQ(all.heard.size(), event_kinds);
  EXPECT_EQ(frames.heard, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_TRUE(none.heard.empty());
}

TEST(EventLog, TheHashDependsOnEveryEventAndOnNoObserver) {
  event_log heard, unheard, other;
  listener all;
  heard.subscribe(&all);
  for (event_log* log : {&heard, &unheard, &other}) emit(*log, event_kind::frame_in);
  emit(heard, event_kind::timer);
  emit(unheard, event_kind::timer);
  emit(other, event_kind::fault);
  EXPECT_EQ(heard.hash(), unheard.hash());
  EXPECT_NE(heard.hash(), other.hash());
  EXPECT_EQ(heard.count(), 2u);
}

}  // namespace
}  // namespace understudy
