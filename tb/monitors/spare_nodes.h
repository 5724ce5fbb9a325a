// Nodes of a standard map that were taken out of it, to be used again: a map through which much passes
// allocates only while it grows beyond its largest size so far, so that its memory may be of a resource that
// takes nothing back.
#pragma once
#include <utility>
#include <vector>

namespace understudy::tb {

template <class Map>
class spare_nodes {
 public:
  // Take out of `map`.
  void remove(Map& map, typename Map::iterator it) { nodes_.push_back(map.extract(it)); }
  // Put into `map`, in a node that is left over if there is one; as its emplace_hint().
  typename Map::iterator insert(Map& map, typename Map::const_iterator hint, typename Map::key_type key,
                                typename Map::mapped_type value) {
    if (nodes_.empty()) return map.emplace_hint(hint, std::move(key), std::move(value));
    typename Map::node_type node = std::move(nodes_.back());
    nodes_.pop_back();
    node.key() = std::move(key);
    node.mapped() = std::move(value);
    return map.insert(hint, std::move(node));
  }

 private:
  std::vector<typename Map::node_type> nodes_;
};

}  // namespace understudy::tb
