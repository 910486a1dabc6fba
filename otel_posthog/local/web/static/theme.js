// Runs before anything is drawn, so that a chosen theme does not flash.
"use strict";
{
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  document.documentElement.classList.add("scripted");
}
