// Things about items that are allowed and were probably not meant: a number written as text that a rule compares with a
// number, a date that can't be read. A stage counts them with the items that it commits, and when it ends, the run
// warns of each kind and field once.
#pragma once

#include <google/protobuf/repeated_field.h>
#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/storage/v1/records.pb.h"

namespace millrace {

// Oddities of one item, or of all items of a stage.
class Oddities {
 public:
  using Kind = storage::v1::Oddity::Kind;
  using List = google::protobuf::RepeatedPtrField<storage::v1::Oddity>;

  // Notes that the value of `field` is odd; once for each kind and field.
  void Note(Kind kind, std::string_view field, const boost::json::value& value);
  void NoteText(Kind kind, std::string_view field, std::string_view example);
  // Notes what is in a list, or in another collection, once for each kind and field: both are about one item.
  void NoteAll(const List& list);
  void NoteAll(const Oddities& other);
  // Adds the counts of another item, or of other items.
  void Count(const Oddities& other) { CountIn(other, list_); }

  bool empty() const { return list_.empty(); }
  const std::vector<storage::v1::Oddity>& list() const { return list_; }

  // Adds the counts of `oddities` to those of `list`.
  static void Count(const Oddities& oddities, List& list);

 private:
  static void CountIn(const Oddities& from, std::vector<storage::v1::Oddity>& into);

  std::vector<storage::v1::Oddity> list_;
};

// Returns the warning about a stage's items: what is odd, in how many, an example, and the remedy.
std::string WarningOf(std::string_view stage, const storage::v1::Oddity& oddity);

}  // namespace millrace
