// Names of the fields that items may have, as a tree. A definition names fields by paths; the tree says which of them
// can exist, so that a misspelt one is found before anything is paid for.
#pragma once

#include <boost/json/fwd.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// The fields of a value, with theirs below them. A new tree is a value without fields: a text, a number, an empty
// object. Paths are those of FindPath (server/base/json.h). A value, as large as the names that it holds.
class FieldTree {
 public:
  // Returns the tree of a value of which nothing is known: every path may exist.
  static FieldTree Any();
  // Returns the tree of a list with such elements.
  static FieldTree ListOf(FieldTree element);

  // True if every path may exist.
  bool any() const { return any_ || only_null_; }
  bool is_list() const { return !element_.empty(); }
  // Returns the tree of a list's elements. REQUIRES: is_list.
  const FieldTree& element() const { return element_.front(); }

  // Returns the field called `name`, dots included; makes it.
  FieldTree& Member(std::string_view name);
  // Makes a field at a path, with anything below it.
  void Put(std::string_view path);
  // Adds the fields of one more value: what some values have may exist. A null adds nothing.
  void AddValue(const boost::json::value& value);
  // Adds all of another tree.
  void Add(const FieldTree& other);

  // Returns the tree at a path; null if nothing can be there.
  const FieldTree* Find(std::string_view path) const;
  // Returns the field that the beginning of `path` names, as FindMember (server/base/json.h) does; null if there is
  // none. REQUIRES: not any.
  const FieldTree* FindMember(std::string_view& path) const;

  // Returns the paths of all fields down to three levels, sorted, at most 1,000: for messages.
  std::vector<std::string> Paths() const;

 private:
  void CollectPaths(const std::string& prefix, int levels, std::vector<std::string>& paths) const;

  bool any_ = false;
  bool only_null_ = false;  // all values were null, so nothing is known of others
  std::map<std::string, FieldTree, std::less<>> members_;
  std::vector<FieldTree> element_;  // of a list: one; else none
};

}  // namespace millrace
