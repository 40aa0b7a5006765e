#include "server/text/field_tree.h"

#include <algorithm>
#include <boost/json.hpp>

#include "server/base/json.h"

namespace millrace {
namespace {

constexpr size_t kPathsMax = 1000;
constexpr int kLevelsMax = 3;

const FieldTree& AnyTree() {
  static const FieldTree any = FieldTree::Any();
  return any;
}

bool IsIndex(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

FieldTree FieldTree::Any() {
  FieldTree tree;
  tree.any_ = true;
  return tree;
}

FieldTree FieldTree::ListOf(FieldTree element) {
  FieldTree tree;
  tree.element_.push_back(std::move(element));
  return tree;
}

FieldTree& FieldTree::Member(std::string_view name) {
  const auto found = members_.find(name);
  return found != members_.end() ? found->second : members_[std::string(name)];
}

void FieldTree::Put(std::string_view path) {
  if (any_) return;
  FieldTree* at = this;
  while (!path.empty()) {
    at->only_null_ = false;
    const size_t dot = path.find('.');
    at = &at->Member(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  at->any_ = true;
}

void FieldTree::AddValue(const json::value& value) {
  if (value.is_null()) return;
  only_null_ = false;
  if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& member : *object) {
      const std::string_view name(member.key().data(), member.key().size());
      const bool is_new = members_.find(name) == members_.end();
      FieldTree& field = Member(name);
      if (is_new) field.only_null_ = member.value().is_null();
      field.AddValue(member.value());
    }
  } else if (const json::array* list = value.if_array()) {
    if (element_.empty()) {
      element_.emplace_back();
      element_.front().only_null_ = true;  // an empty list says nothing about its elements
    }
    for (const json::value& element : *list) element_.front().AddValue(element);
  }
}

void FieldTree::Add(const FieldTree& other) {
  any_ = any_ || other.any_;
  only_null_ = only_null_ && other.only_null_;
  for (const auto& [name, field] : other.members_) {
    const auto [place, is_new] = members_.try_emplace(name, field);
    if (!is_new) place->second.Add(field);
  }
  if (other.element_.empty()) return;
  if (element_.empty()) {
    element_ = other.element_;
  } else {
    element_.front().Add(other.element_.front());
  }
}

const FieldTree* FieldTree::FindMember(std::string_view& path) const {
  auto found = members_.find(path);
  size_t end = path.size();
  while (found == members_.end() && end > 0) {
    end = path.size() > kDottedPathMax ? path.find('.') : path.rfind('.', end - 1);
    if (end == std::string_view::npos) return nullptr;
    found = members_.find(path.substr(0, end));
    if (path.size() > kDottedPathMax) break;
  }
  if (found == members_.end()) return nullptr;
  path = end < path.size() ? path.substr(end + 1) : std::string_view();
  return &found->second;
}

const FieldTree* FieldTree::Find(std::string_view path) const {
  const FieldTree* at = this;
  while (!path.empty()) {
    if (at->any()) return &AnyTree();
    const std::string_view name = path.substr(0, path.find('.'));
    if (const FieldTree* member = at->FindMember(path)) {
      at = member;
    } else if (at->is_list() && IsIndex(name)) {
      path.remove_prefix(std::min(name.size() + 1, path.size()));
      at = &at->element_.front();
    } else {
      return nullptr;
    }
  }
  return at;
}

std::vector<std::string> FieldTree::Paths() const {
  std::vector<std::string> paths;
  CollectPaths("", kLevelsMax, paths);
  std::sort(paths.begin(), paths.end());
  return paths;
}

void FieldTree::CollectPaths(const std::string& prefix, int levels, std::vector<std::string>& paths) const {
  if (levels == 0) return;
  for (const auto& [name, field] : members_) {
    if (paths.size() == kPathsMax) return;
    paths.push_back(prefix + name);
    field.CollectPaths(paths.back() + ".", levels - 1, paths);
  }
}

}  // namespace millrace
