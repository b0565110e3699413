"""The search itself: controller, space and proxy task brought together, on record, on one machine or many."""

from nas.own_packages import check_own_packages

check_own_packages()
